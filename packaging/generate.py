"""Write what is made from the code: manual, completions, example file, RAM policies, schemas.

Run it after a change of the command line, the configuration, the errors or the applications:
``python packaging/generate.py``. Tests hold the committed files against what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "agent"), str(ROOT / "tests")]

from generator import bash, catalog, example, fish, man, ram, schemas, zsh  # noqa: E402
from generator.commandline import read_command_line  # noqa: E402

import document_tables  # noqa: E402

SCHEMAS = "agent/snap_self/data/schema"
OOS_TEMPLATE = "snap-self-rollback.yml"


def generated() -> Mapping[str, str]:
    """Return every generated file's text, by its path in the checkout."""
    program = read_command_line()
    return {
        "packaging/completions/snap-self.bash": bash.completion(program),
        "packaging/completions/_snap-self": zsh.completion(program),
        "packaging/completions/snap-self.fish": fish.completion(program),
        "packaging/man/snap-self.8": man.program_page(program),
        "packaging/man/snap-self.toml.5": man.configuration_page(),
        catalog.NAME: catalog.catalog(),
        "agent/snap_self/data/config.example.toml": example.example_configuration(),
        # For whoever keeps it under a name in the account; the agent sends its own copy.
        f"packaging/oos/{OOS_TEMPLATE}": (ROOT / "agent/snap_self/data" / OOS_TEMPLATE).read_text(
            encoding="utf-8"
        ),
        **{f"packaging/ram/{name}": text for name, text in ram.templates().items()},
        **{f"{SCHEMAS}/{name}": text for name, text in schemas.schemas().items()},
    }


def main() -> None:
    """Write the files, and name those that changed."""
    # The manual quotes some of them.
    for name in document_tables.DOCUMENTS:
        _write(name, document_tables.rewritten(name))
    for name, text in generated().items():
        _write(name, text)


def _write(name: str, text: str) -> None:
    path = ROOT / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
