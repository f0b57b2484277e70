"""From the options as typed and the configuration to a request, every value checked: pure."""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.cli.options import JobOptions
from snap_self.config.options import with_options
from snap_self.config.settings import Config
from snap_self.errors import UsageError
from snap_self.model.disks import Selection
from snap_self.model.request import Request
from snap_self.model.rules import check_before, check_description, retention_days


def make_request(options: JobOptions, config: Config) -> Request:
    """Return the request; an option beats the configuration.

    Raises:
        UsageError: an option has no such value, or breaks a rule of the cloud; nothing was called.
    """
    if options.before is None:
        raise UsageError(
            "--before TEXT is missing",
            hint='say what the snapshot is for, e.g. snap-self --before "os upgrade"',
        )
    asked = with_options(
        config,
        {
            "--consistency": options.consistency,
            "--on-quiesce-failure": options.on_quiesce_failure,
            "--wait": options.wait,
            "--timeout": options.timeout,
            "--keep": options.keep,
            "--name": options.name,
            "--tag": options.tags,
            "--reuse": options.reuse,
            "--exclude": _named("--exclude", options.exclude),
        },
    )
    wanted, keep_s = asked.snapshot, asked.snapshot.keep_s
    return Request(
        before=check_before(options.before),
        selection=Selection(
            paths=_named("--path", options.paths),
            disks=_named("--disk", options.disks),
            exclude=asked.disks.exclude,
        ),
        consistency=wanted.consistency,
        on_quiesce_failure=wanted.on_quiesce_failure,
        wait=wanted.wait,
        timeout_s=wanted.timeout_s,
        keep_days=None if keep_s is None else retention_days(keep_s),
        keep_s=keep_s,
        name=wanted.name,
        description=("" if options.description is None else check_description(options.description)),
        tags=wanted.tags,
        reuse_s=wanted.reuse_s,
    )


def _named(option: str, values: Sequence[str]) -> tuple[str, ...]:
    if any(not value.strip() for value in values):
        raise UsageError(f"{option} is empty", hint="leave it out to mean all attached disks")
    return tuple(values)
