"""Manual pages and completions say what the command line, the statuses and the keys are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from snap_self import errors
from snap_self.cli.app import app
from snap_self.config.keys import KEYS
from snap_self.model.request import OnQuiesceFailure
from snap_self.model.snapshots import Consistency, WaitFor

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
sys.path.insert(0, str(PACKAGING))

from generate import generated  # noqa: E402

COMPLETIONS = ("snap-self.bash", "_snap-self", "snap-self.fish")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every command that is not hidden, with its words."""
    command = command or typer.main.get_command(app)
    yield " ".join(path), command
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from commands(below, (*path, name))


def long_options() -> set[str]:
    return {
        spelling
        for _, command in commands()
        for each in command.params
        if each.param_type_name == "option" and not each.hidden
        for spelling in each.opts
    }


def page(name: str) -> str:
    """Return a manual page without roff's escapes."""
    text = (PACKAGING / "man" / name).read_text(encoding="utf-8")
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\(aq", "'")


@pytest.mark.parametrize("name", generated())
def test_generated_file_is_what_the_code_says(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == generated()[name], "run: python packaging/generate.py"


def test_manual_tells_every_option_that_is_not_hidden() -> None:
    text = page("snap-self.8")
    assert [each for each in long_options() if not re.search(rf"{each}\b", text)] == []


def test_manual_tells_every_command() -> None:
    text = page("snap-self.8")
    named = [name for name, command in commands() if name and not hasattr(command, "commands")]
    assert [name for name in named if f".B snap-self {name} " not in text] == []


def test_manual_tells_every_exit_status() -> None:
    statuses = re.findall(r"^\.B ([0-9+n]+)$", page("snap-self.8"), re.MULTILINE)
    assert statuses == [*(str(int(status)) for status in errors.ExitStatus), "128+n"]


def test_manual_tells_every_error_code() -> None:
    codes = {kind.code for kind in vars(errors).values() if hasattr(kind, "exit_status")}
    text = page("snap-self.8")
    assert [code for code in sorted(codes) if f"\n{code} (" not in text] == []


def test_manual_tells_every_key_below_its_section() -> None:
    found = set()
    section = ""
    for line in page("snap-self.toml.5").splitlines():
        if line.startswith(".SS ["):
            section = line[5:-1]
        elif " = " in line and section:
            found.add(f"{section}.{line.partition(' = ')[0]}")
    assert {key.dotted for key in KEYS} <= found


@pytest.mark.parametrize("name", COMPLETIONS)
def test_completion_has_every_command_and_option(name: str) -> None:
    text = (PACKAGING / "completions" / name).read_text(encoding="utf-8")
    wanted = {word for path, _ in commands() for word in path.split()} | long_options()
    spelled = {each.lstrip("-") if name.endswith(".fish") else each for each in wanted}
    assert [each for each in sorted(spelled) if not re.search(rf"(?<!\w){each}\b", text)] == []


@pytest.mark.parametrize("name", COMPLETIONS)
@pytest.mark.parametrize("values", [Consistency, WaitFor, OnQuiesceFailure])
def test_completion_offers_the_words_that_an_option_takes(name: str, values: Any) -> None:
    text = (PACKAGING / "completions" / name).read_text(encoding="utf-8")
    assert " ".join(member.value for member in values) in text


@pytest.mark.parametrize("name", COMPLETIONS)
def test_completion_never_starts_the_agent(name: str) -> None:
    text = (PACKAGING / "completions" / name).read_text(encoding="utf-8")
    assert re.findall(r"\$\((?!\()|_call_program|\(snap-self", text) == []


@pytest.mark.parametrize("name", ["snap-self.8", "snap-self.toml.5"])
def test_manual_page_is_read_without_a_warning(name: str) -> None:
    try:
        result = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", str(PACKAGING / "man" / name)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("groff is not installed")
    assert (result.returncode, result.stderr) == (0, "")
