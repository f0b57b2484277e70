"""What people type by mistake, and where they are pointed."""

from __future__ import annotations

import pytest
import typer.main

from snap_self.cli.app import app, run_app
from snap_self.cli.boundary import tell
from snap_self.cli.console import console
from snap_self.cli.misspelt import CONFIG_POINTERS, HOOK_POINTERS, POINTERS
from snap_self.errors import UsageError


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return what is said of a command line that is refused as wrong usage."""
    with pytest.raises(Exception) as caught:
        run_app(arguments)
    assert tell(console(), caught.value) == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--before os upgrade", "snap-self --before 'os upgrade'"),
        ("--before=os upgrade", "snap-self --before 'os upgrade'"),
        ("--wait cut --before os upgrade now", "snap-self --wait cut --before 'os upgrade now'"),
        ("--before os upgrade --wait cut", "snap-self --before 'os upgrade' --wait cut"),
        ("plan --before os upgrade", "snap-self plan --before 'os upgrade'"),
        ("list --before os upgrade --last 3", "snap-self list --before 'os upgrade' --last 3"),
    ],
)
def test_text_without_quotes_is_told_with_the_line_that_was_meant(
    capsys: pytest.CaptureFixture[str], typed: str, meant: str
) -> None:
    assert said(capsys, *typed.split()) == [
        "snap-self: the text after --before has several words",
        f"  -> put it in quotes: `{meant}`",
    ]


def test_second_word_of_a_text_without_quotes_is_never_run_as_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["run", "--before", "before", "reboot", "--", "./migrate.sh"]
    meant = "snap-self run --before 'before reboot' -- ./migrate.sh"
    assert said(capsys, *typed) == [
        "snap-self: it cannot be told where the text ends and the command begins",
        f"  -> put the text in quotes: `{meant}`; or, if these words are the command, put -- "
        "before them",
    ]


@pytest.mark.parametrize(
    ("typed", "argv"),
    [
        ("run --before x -- git log -- file", "git log -- file"),
        ("run --before x git log file", "git log file"),
        ("run --before x --json git log -- file", "git log -- file"),
    ],
)
def test_command_that_has_hyphens_itself_is_run_as_it_is(
    monkeypatch: pytest.MonkeyPatch, typed: str, argv: str
) -> None:
    ran: list[tuple[str, ...]] = []

    def run_command(*_: object, argv: tuple[str, ...], **__: object) -> int:
        ran.append(argv)
        return 0

    monkeypatch.setattr("snap_self.cli.run.run_command", run_command)
    assert run_app(typed.split()) == 0
    assert ran == [tuple(argv.split())]


@pytest.mark.parametrize("typed", ["--before --json", "--before --keep 3d", "plan --before -q"])
def test_option_in_the_place_of_the_text_is_not_taken_for_it(
    capsys: pytest.CaptureFixture[str], typed: str
) -> None:
    option = typed.split("--before ")[1].split()[0]
    assert said(capsys, *typed.split()) == [
        f"snap-self: --before has no text, as {option} follows it",
        f'  -> say what is about to change: --before "os upgrade" {option}',
    ]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["os upgrade"], "snap-self --before 'os upgrade'"),
        (["os", "upgrade", "--wait", "cut"], "snap-self --before 'os upgrade' --wait cut"),
        (["--keep", "3d", "reboot"], "snap-self --keep 3d --before reboot"),
        (["a\x1b[2Jb"], "snap-self --before $'a\\x1b[2Jb'"),
        (["./migrate.sh", "--all"], 'snap-self run --before "what it does" -- ./migrate.sh --all'),
    ],
)
def test_text_without_its_option_is_told_with_the_line_that_was_meant(
    capsys: pytest.CaptureFixture[str], typed: list[str], meant: str
) -> None:
    _, hint = said(capsys, *typed)
    assert f"`{meant}`" in hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("revert", "rollback last"),
        ("recover 20261122t083225z-0a1b2c", "show 20261122t083225z-0a1b2c"),
        ("undo --json", "show last"),
        ("browse s-1", "mount s-1"),
        ("umount s-1", "unmount --all"),
        ("undelete s-1", "restore s-1 PATH"),
        ("fsck", "verify last"),
        ("describe s-1", "show s-1"),
        ("status", "list"),
        ("ls", "list"),
        ("LS", "list"),
        ("delete s-1", "prune --dry-run"),
        ("rm", "prune --dry-run"),
        ("create", '--before "what you are about to do"'),
        ("snapshot os upgrade", "--before 'os upgrade'"),
        ("create --before x --keep 3d", "--before x --keep 3d"),
        ("create --before=x", "--before=x"),
        ("version", "--version"),
        ("backup", '--before "what you are about to do"'),
        ("exec", "run --before TEXT -- COMMAND"),
        ("hook on", "hook enable"),
        ("hook on apt", "hook enable apt"),
        ("hook list", "hook status"),
        ("config validate /x.toml", "config check /x.toml"),
    ],
)
def test_word_of_another_program_leads_to_the_command_that_does_it(
    capsys: pytest.CaptureFixture[str], typed: str, meant: str
) -> None:
    message, hint = said(capsys, *typed.split())
    assert "there is no command" in message
    assert f"`snap-self {meant}`" in hint


@pytest.mark.parametrize("pointers", [POINTERS, HOOK_POINTERS, CONFIG_POINTERS])
def test_word_leads_to_one_command_and_is_none_itself(pointers: tuple[object, ...]) -> None:
    words = [word for each in pointers for word in each.words]  # type: ignore[attr-defined]
    assert len(words) == len(set(words))
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    if pointers is POINTERS:
        assert not known & set(words)


@pytest.mark.parametrize("pointers", [POINTERS, HOOK_POINTERS, CONFIG_POINTERS])
def test_word_leads_to_a_command_that_there_is(pointers: tuple[object, ...]) -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for each in pointers:
        _, second, *_ = each.line.split()  # type: ignore[attr-defined]
        assert second in {*known, "--before", "--version"}


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("lst", "snap-self list"),
        ("dcotor", "snap-self doctor"),
        ("hook enabl", "snap-self hook enable"),
    ],
)
def test_word_that_is_nearly_a_command_is_taken_for_it(
    capsys: pytest.CaptureFixture[str], typed: str, near: str
) -> None:
    assert f"did you mean `{near}`?" in said(capsys, *typed.split())[1]


def test_command_that_nobody_is_shown_is_not_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "follow`" not in said(capsys, "follo")[1]


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("list x", "list: 'x' is too much, as it takes options only", "snap-self list --help"),
        ("show a b", "show: 'b' is too much, as it takes one ID at most", "snap-self show --help"),
        ("hook enable apt dnf", "hook enable: 'dnf' is too much", "snap-self hook enable --help"),
        ("hook nothing", "hook: there is no command 'nothing'", "snap-self hook --help"),
        ("show", "show: ID is missing", "snap-self show last"),
        ("show", "show: ID is missing", "snap-self show --help"),
        ("run --before x", "run: CMD is missing", 'run --before "os upgrade" -- apt-get'),
        ("prune --keep-last x", "1 or more, not 'x'", "snap-self prune --help"),
        ("prune --keep-last=-3", "1 or more, not '-3'", "snap-self prune --help"),
        ("list --last 2 --last 0 --disk /", "1 or more, not '0'", "snap-self list --help"),
        ("list --last 1.5", "1 or more, not '1.5'", "snap-self list --help"),
        ("demo --bogus", "demo: there is no option --bogus", "snap-self demo --help"),
        ("run --before x --wat", "run: there is no option --wat", "did you mean --wait"),
        ("--bfore x", "there is no option --bfore", "did you mean --before"),
        ("--keep-last 3 prune", "no option --keep-last", "an option of `snap-self prune`"),
        ("list --keep 3d", "no option --keep", "an option of `snap-self --before TEXT`"),
        ("--before", "--before is given without a value", "snap-self --help"),
        ("list --last x", "list: --last takes a whole number, 1 or more", "snap-self list --help"),
        ("--list", "there is no option --list", "a command, without hyphens: `snap-self list`"),
        ("--rollback", "there is no option --rollback", "without hyphens: `snap-self rollback`"),
        ("os --before x --json", "there is no command 'os'", "`snap-self --before x --json`"),
    ],
)
def test_fault_of_a_command_leads_to_its_own_help(
    capsys: pytest.CaptureFixture[str], typed: str, message: str, hint: str
) -> None:
    first, second = said(capsys, *typed.split())
    assert message in first
    assert hint in second


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--json list -q", ["`snap-self list --json -q`"]),
        ("--before os list", ["`snap-self list --before os`", "`snap-self --before 'os list'`"]),
        ("--keep 3d run -- x", ["`snap-self run --keep 3d -- x`"]),
        ("--keep 3d list", ["snap-self list …", "`snap-self list --help`"]),
    ],
)
def test_options_before_a_command_are_told_with_the_line_that_was_meant(
    typed: str, meant: list[str]
) -> None:
    with pytest.raises(UsageError, match="would have no effect") as caught:
        run_app(typed.split())
    assert [each for each in meant if each not in caught.value.hint] == []


@pytest.mark.parametrize("words", [[], ["run"], ["hook", "enable"]])
def test_help_as_a_word_is_that_of_the_option(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run_app(["help", *words]) == 0
    shown = capsys.readouterr().out
    run_app([*words, "--help"])
    assert shown == capsys.readouterr().out != ""


def test_help_of_no_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no command" in said(capsys, "help", "lst")[0]


def test_summaries_of_commands_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["--help"])
    run_app(["hook", "--help"])
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")
