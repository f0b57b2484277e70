"""Write what is made from the command line and the configuration: manual pages and completions.

Run it after a change of either: ``python packaging/generate.py``. A test holds the committed files
against what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
sys.path[:0] = [str(PACKAGING), str(PACKAGING.parent / "agent")]

from generator import bash, fish, man, zsh  # noqa: E402
from generator.commandline import read_command_line  # noqa: E402


def generated() -> Mapping[str, str]:
    """Return every generated file's text, by its path below this folder."""
    program = read_command_line()
    return {
        "completions/snap-self.bash": bash.completion(program),
        "completions/_snap-self": zsh.completion(program),
        "completions/snap-self.fish": fish.completion(program),
        "man/snap-self.8": man.program_page(program),
        "man/snap-self.toml.5": man.configuration_page(),
    }


def main() -> None:
    """Write the files, and name those that changed."""
    for name, text in generated().items():
        path = PACKAGING / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote packaging/{name}")


if __name__ == "__main__":
    main()
