"""The commands that bring something back, or look into a snapshot; `app` takes them in.

What they do is imported when one is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from snap_self.cli.grammar import SETTINGS, App
from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out

bringing_back = App(**SETTINGS)


@bringing_back.command()
@spelled_out(manner=MANNER)
def restore(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Snapshot, group or run id, or last.")
    ] = "",
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="What to bring back, as it is named here now."),
    ] = None,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIR", help="Bring it back below DIR instead of in place."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Also take away what the snapshot does not have.")
    ] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Do not keep what is replaced.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Make the disk and show what differs; change nothing."),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask. Without a terminal this is needed."),
    ] = False,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="RID", help="Put back what that restore has replaced."),
    ] = None,
    manner: Manner,
) -> int:
    """Bring files back from a snapshot, as they were.

    A disk is made of the snapshot, attached, read and deleted again, which takes some minutes.
    Files are replaced whole, beside and by rename; what was there is kept aside. What cannot be
    brought back is named (status 102). The role needs the policy of `snap-self policy --restore`.

    Example: snap-self restore last /etc/nginx /srv/www/index.html
    """
    from snap_self.cli.restore import RestoreOptions, run_restore

    options = RestoreOptions(
        wanted=wanted,
        paths=tuple(paths or ()),
        to=to,
        exact=exact,
        backup=not no_backup,
        dry_run=dry_run,
        yes=yes,
        undo=undo,
    )
    return run_restore(options, manner)


@bringing_back.command()
@spelled_out(manner=MANNER)
def rollback(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Snapshot, group or run id, or last.")
    ],
    *,
    steps: Annotated[
        bool,
        typer.Option("--print", help="Print the steps from outside; nothing is done. [default]"),
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Print them as one shell script for another machine."),
    ] = False,
    oos: Annotated[
        bool,
        typer.Option("--oos", help="Have the cloud's OOS do it: it stops this machine at once."),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Bring the data disks back while the machine runs.")
    ] = False,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", metavar="NAME", help="A unit to stop for --online (repeatable)."),
    ] = None,
    snapshot_first: Annotated[
        bool, typer.Option("--snapshot-first", help="First snapshot the present state.")
    ] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="End the --online rollback ID where it is.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal this is needed.")
    ] = False,
    manner: Manner,
) -> int:
    """Bring whole disks back to a run's snapshots.

    It says what goes back and what is lost, and refuses what would tear: a volume that lies also
    on a disk that stays, or the system without its /boot. A snapshot's id means its disk alone. A
    disk is reset while the instance is stopped, so the steps are for another machine. With --oos
    Operation Orchestration Service does it from outside; the role needs the policies of
    `snap-self policy --rollback`. With --online the run's data disks go back while the machine
    runs: named units are stopped, filesystems unmounted, disks detached, reset and attached, and
    all is mounted and started again; the role needs `snap-self policy --online`.

    Example: snap-self rollback last --script > rollback.sh
    """
    from snap_self.cli.rollback import RollbackOptions, run_rollback

    options = RollbackOptions(
        wanted=wanted,
        steps=steps,
        script=script,
        oos=oos,
        online=online,
        units=tuple(unit or ()),
        snapshot_first=snapshot_first,
        yes=yes,
        give_up=give_up,
    )
    return run_rollback(options, manner)


@bringing_back.command()
@spelled_out(manner=MANNER)
def confirm(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Only what goes back to that run.")
    ] = "",
    *,
    extend: Annotated[
        str | None,
        typer.Option("--extend", metavar="DURATION", help="Wait for so long from now instead."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="CMD", help="Confirm only if this command succeeds."),
    ] = None,
    checks: Annotated[
        bool,
        typer.Option(
            "--checks", help="Only if the run's own and those in /etc/snap-self/checks.d succeed."
        ),
    ] = False,
    boot_check: Annotated[bool, typer.Option("--boot-check", hidden=True)] = False,
    manner: Manner,
) -> int:
    """Say that all is well, so that the machine is not rolled back.

    What --confirm-within armed is cancelled, and seen to have ended before it stopped anything;
    else the status is 22. With --checks nothing is asked unless the journal knows of one.

    Example: snap-self confirm
    """
    from snap_self.cli.confirm import ConfirmOptions, run_confirm

    options = ConfirmOptions(
        run=run, extend=extend, check=check, checks=checks, boot_check=boot_check
    )
    return run_confirm(options, manner)


@bringing_back.command()
@spelled_out(manner=MANNER)
def mount(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Snapshot, group or run id, or last.")
    ],
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="DIR", help="Where to; an empty directory, or a new one."),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="PATH", help="Open the filesystem that holds PATH. [/]"),
    ] = None,
    life: Annotated[
        str,
        typer.Option("--for", metavar="DURATION", help="How long it stays open; at most 24h."),
    ] = "1h",
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask. Without a terminal this is needed."),
    ] = False,
    manner: Manner,
) -> int:
    """Open a snapshot beside the running system, to look into it.

    Nothing in it can be changed. A disk is made of it and attached; `unmount`, or the time limit,
    deletes it again. The role needs the policy of `snap-self policy --restore`.

    Example: snap-self mount last --path /srv --for 30m
    """
    from snap_self.cli.mount import MountOptions, run_mount

    options = MountOptions(wanted=wanted, at=at, path=path, life=life, yes=yes)
    return run_mount(options, manner)


@bringing_back.command()
@spelled_out(manner=MANNER)
def unmount(
    which: Annotated[
        str,
        typer.Argument(metavar="ID", help="Snapshot, run or mount id, or directory."),
    ] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="Everything that is open.")] = False,
    manner: Manner,
) -> int:
    """Close opened snapshots and delete their temporary disks.

    Also what a command left that was killed.
    Without ID what is open is closed if it is one.

    Example: snap-self unmount --all
    """
    from snap_self.cli.mount import run_unmount

    return run_unmount(which, manner, every=every)


@bringing_back.command()
@spelled_out(manner=MANNER)
def verify(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Snapshot, group or run id, or last.")
    ],
    *,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="PATH", help="Only the filesystem that holds PATH. [all]"),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask. Without a terminal this is needed."),
    ] = False,
    manner: Manner,
) -> int:
    """Prove that a snapshot opens, is undamaged and as noted.

    For each filesystem a disk is made of it, mounted, checked by the filesystem's own checker and
    deleted again; /etc is compared with the manifest. Status 0: all is proved; 100: a part of it;
    11: it is damaged. The role needs the policy of `snap-self policy --restore`.

    Example: snap-self verify last
    """
    from snap_self.cli.verify import VerifyOptions, run_verify

    return run_verify(VerifyOptions(wanted=wanted, path=path, yes=yes), manner)
