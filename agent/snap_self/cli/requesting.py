"""From the options as typed and the configuration to a request, every value checked: pure."""

from __future__ import annotations

from typing import Any

from snap_self.cli.options import JOB_OPTIONS, JobOption, Typed, TypedValue
from snap_self.config.options import over_key
from snap_self.config.settings import Config
from snap_self.errors import UsageError
from snap_self.model.disks import Selection
from snap_self.model.request import Request
from snap_self.model.snapshots import WaitFor


def make_request(typed: Typed, config: Config) -> Request:
    """Return the request; an option beats the configuration.

    Raises:
        UsageError: an option has no such value, or breaks a rule of the cloud; nothing was called.
    """
    if typed["--before"] is None:
        raise UsageError(
            "--before TEXT is missing",
            hint='say what is about to change: --before "os upgrade"',
        )
    refuse_option_as_text(typed["--before"])
    filled = {
        option.field: chosen(option, typed, config)
        for option in JOB_OPTIONS
        if option.field and (option.key or is_given(typed.get(option.name)))
    }
    excluded: Any = typed.get("--exclude") or ()
    selection = Selection(
        paths=filled.pop("paths", ()),
        disks=filled.pop("disks", ()),
        exclude=filled.pop("exclude"),
        configured=frozenset(config.disks.exclude) - frozenset(excluded),
    )
    request = Request(selection=selection, **filled)
    _refuse_unarmable(request)
    return request


def _refuse_unarmable(request: Request) -> None:
    """Refuse what cannot be held: to go back takes a snapshot that can be used.

    Raises:
        UsageError: as it says.
    """
    if request.check and request.confirm_within_s is None:
        raise UsageError(
            "--check confirms nothing without --confirm-within",
            hint='snap-self --before "os upgrade" --confirm-within 30m --check CMD',
        )
    if request.confirm_within_s is not None and request.wait in (WaitFor.NONE, WaitFor.CUT):
        raise UsageError(
            f"--confirm-within takes a snapshot that can be used, and --wait {request.wait.value} "
            "waits for none",
            hint="leave --wait out, or take --wait accomplished",
        )


def refuse_option_as_text(before: TypedValue) -> None:
    """Refuse an option that the parser took for the text, since the text was forgotten.

    Raises:
        UsageError: it is one.
    """
    if before in _OPTIONS:
        raise UsageError(
            f"--before has no text, as {before} follows it",
            hint=f'say what is about to change: --before "os upgrade" {before}',
        )


_OPTIONS = {option.name for option in JOB_OPTIONS} | {
    *("--json", "--quiet", "-q", "--verbose", "-v", "--dry-run"),
}


def chosen(option: JobOption, typed: Typed, config: Config) -> Any:
    """Return an option's value: as typed, or else that of its key.

    Raises:
        UsageError: what was typed breaks a rule.
    """
    given = typed.get(option.name)
    value = option.check(given, option.name) if is_given(given) else None
    return over_key(config, option.key, value, option.name) if option.key else value


def is_given(typed: TypedValue) -> bool:
    """Tell whether an option was given; an empty text is one."""
    return isinstance(typed, str) or bool(typed)
