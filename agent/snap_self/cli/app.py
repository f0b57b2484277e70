"""The commands: parse, call one use case, render, exit.

What they do is imported when one is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from snap_self import __version__
from snap_self.cli.bringing_back import bringing_back
from snap_self.cli.config_commands import config_app
from snap_self.cli.console import console
from snap_self.cli.grammar import SETTINGS, App, Commands
from snap_self.cli.imaging import imaging
from snap_self.cli.manager_commands import hook_app
from snap_self.cli.monitoring import monitoring
from snap_self.cli.options import (
    JOB,
    MANNER,
    PLAN,
    RUN,
    SPEECH,
    Manner,
    Typed,
    job_options,
)
from snap_self.cli.spelling import spelled_out
from snap_self.cli.telling import telling

# The envelope of `output/jsonform.py`, in one line.
VERSION_JSON = (
    '{{"schema": 1, "command": "version", "exit_status": 0, "result": "done", "error": null, '
    '"version": "{version}"}}'
)

app = App(**SETTINGS)
app.add_typer(hook_app)
app.add_typer(config_app)


def program() -> Any:
    """Return the parser's table of all commands and options."""
    return typer.main.get_command(app)


def run_app(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the command and return its exit status."""
    result: object = _parser_of(arguments)(
        args=list(arguments),
        standalone_mode=False,
        prog_name="snap-self",
        obj=tuple(arguments),
    )
    return result if isinstance(result, int) else 0


def _parser_of(arguments: Sequence[str]) -> App:
    """Return the parser of a line, with the one command that its first word names, or with none.

    Making the tables of all commands takes as long as importing the parser. A line that begins
    with an option, as that of the main job, names a command by mistake only.
    """
    named = [each for each in app.registered_commands if _name_of(each) in arguments[:1]]
    if not named and not any(each.startswith("-") for each in arguments[:1]):
        return app
    alone = App(cls=_Alone, **SETTINGS)
    alone.registered_callback, alone.registered_commands = app.registered_callback, named
    return alone


class _Alone(Commands):
    """The program with one command or with none; all are made where a line turns out to need them.

    A help of it tells of all.
    """

    def whole(self) -> Any:
        """Return the table of all commands."""
        return program()

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, and the words after it.

        Raises:
            UsageError: it names none.
        """
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return self.whole().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """Return the help of the program."""
        text: str = self.whole().get_help(ctx)
        return text


def _name_of(command: Any) -> str:
    """Return what a command is called, as the parser does."""
    return command.name or typer.main.get_command_name(command.callback.__name__)


@app.callback(invoke_without_command=True)
@spelled_out(typed=job_options(JOB), manner=MANNER)
def job(
    context: typer.Context,
    *,
    typed: Typed,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, do nothing (same as `plan`).")
    ] = False,
    manner: Manner,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    recorded: Annotated[Path | None, typer.Option("--recorded", hidden=True)] = None,
    notices: Annotated[int, typer.Option("--notices", hidden=True)] = -1,
) -> int:
    """Snapshot this ECS instance's own disks before something risky.

    Example: snap-self --before "os upgrade"
    """
    if version:
        # Without the encoder, whose import would take longer than all the rest.
        as_json = VERSION_JSON.format(version=__version__)
        console().data(as_json if manner.json else f"snap-self {__version__}")
        if manner.verbose and not manner.json:
            from snap_self.system.installation import read_installation

            found = read_installation()
            console().data(*filter(None, (f"{found.words}, in {found.folder}", found.limits)))
        return 0
    if context.invoked_subcommand is not None:
        return _refuse_options_before(context.invoked_subcommand, context)
    if typed["--before"] is None and len(sys.argv) == 1:
        console().data(*context.get_help().split("\n"))
        return 2
    if dry_run:
        from snap_self.cli.plan import run_plan

        return run_plan(typed, manner, recorded=recorded, offline=False)
    from snap_self.cli.snapshot import run_snapshot

    return run_snapshot(typed, manner, recorded=recorded, notices=notices)


def _refuse_options_before(command: str, context: typer.Context) -> int:
    """Refuse options in front of a command's name, since that command never sees them.

    Returns 0 if there are none.

    Raises:
        UsageError: there are some.
    """
    given = [
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        from snap_self.cli.misspelt import options_before

        options = [f"--{name.replace('_', '-')}" for name in given]
        raise options_before(context, command, options)
    return 0


@app.command()
@spelled_out(typed=job_options(PLAN), manner=MANNER)
def plan(
    *,
    typed: Typed,
    recorded: Annotated[
        Path | None,
        typer.Option(
            "--recorded",
            metavar="DIR",
            help="Plan for a machine recorded by `doctor --record DIR`, without any network.",
        ),
    ] = None,
    manner: Manner,
) -> int:
    """Show what the main job would do and why; nothing is done.

    Example: snap-self plan --before "os upgrade" --path /srv
    """
    from snap_self.cli.plan import run_plan

    if typed["--before"] is None:
        typed = {**typed, "--before": "plan"}
    return run_plan(typed, manner, recorded=recorded, offline=True)


@app.command(context_settings={"allow_interspersed_args": False})
@spelled_out(typed=job_options(RUN), manner=MANNER)
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="CMD", help="The command and its arguments.")
    ],
    *,
    typed: Typed,
    recorded: Annotated[Path | None, typer.Option("--recorded", hidden=True)] = None,
    manner: Manner,
) -> int:
    """Make the snapshot, then run CMD; its exit status is passed on.

    CMD has the terminal, standard input and output as if it had been started without snap-self.
    Without a snapshot it is not started, and the status is 125.

    Example: snap-self run --before "schema change" -- ./migrate.sh --all
    """
    from snap_self.cli.run import run_command

    return run_command(typed, manner, argv=tuple(command), recorded=recorded)


@app.command("list")
@spelled_out(manner=MANNER)
def list_command(
    *,
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", min=1, help="Only the N newest runs."),
    ] = None,
    before: Annotated[
        str, typer.Option("--before", metavar="TEXT", help="Only runs whose text holds this.")
    ] = "",
    disk: Annotated[
        list[str] | None,
        typer.Option(
            "--disk",
            metavar="X",
            help="Only runs with this disk: id, device or mount point (repeatable).",
        ),
    ] = None,
    manner: Manner,
) -> int:
    """List the snapshots that snap-self made, newest first.

    A row is a run, with its disks. Without a terminal it is at most 100 columns wide.

    Example: snap-self list --last 5
    """
    from snap_self.cli.list import run_list

    return run_list(manner, last=last, before=before, disks=tuple(disk or ()))


@app.command()
@spelled_out(manner=MANNER)
def show(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Snapshot, group or run id, or last.")
    ],
    manner: Manner,
) -> int:
    """Show one run's snapshots in full, with the ways back.

    The word last means the newest run that has a snapshot to go back to.

    Example: snap-self show last
    """
    from snap_self.cli.show import run_show

    return run_show(wanted, manner)


@app.command()
@spelled_out(manner=MANNER)
def diff(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Run, group or snapshot id.  [default: last]", show_default=False
        ),
    ] = "",
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Only this: it begins with / or ./. An id here: compare with that run.",
        ),
    ] = None,
    *,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Name all that differs, also what changes by itself."),
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with status 103 where anything differs.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Make a disk for contents unasked. Needed without a terminal."
        ),
    ] = False,
    manner: Manner,
) -> int:
    """Show what changed on this machine since a snapshot.

    Packages, files in /etc, units, kernel, mounts, users and listening ports, from what the run
    noted before its snapshot; the cloud is not asked. With a PATH, which begins with / or ./,
    contents are shown: what the note cannot tell is read in the snapshot, of which a disk is made
    for some minutes.

    Example: snap-self diff last
    """
    from snap_self.cli.diff import run_diff

    words = (*filter(None, (wanted,)), *(others or ()))
    return run_diff(words, manner, everything=everything, exit_code=exit_code, yes=yes)


@app.command("help", hidden=True)
def help_command(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="The command's words.")
    ] = None,
) -> int:
    """Show the help of a command, or of the program.

    Example: snap-self help run
    """
    return run_app([*(words or ()), "--help"])


@app.command()
@spelled_out(manner=MANNER)
def prune(
    *,
    keep_last: Annotated[
        int | None,
        typer.Option(
            "--keep-last",
            metavar="N",
            min=1,
            help="Keep the N newest of the same disks; older ones go even before their date.",
        ),
    ] = None,
    keep_per_text: Annotated[
        int | None,
        typer.Option(
            "--keep-per-text",
            metavar="N",
            min=1,
            help="The same, for each --before text. With both, what either keeps is kept.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also those that disks were made from; these cannot be re-initialised then.",
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Delete. Without a terminal this or --dry-run is needed."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what would go. [default on a terminal]"),
    ] = False,
    manner: Manner,
) -> int:
    """Delete the snapshots made by snap-self that are past their date.

    Only this instance's. Never the newest good one of a disk, one kept for ever, one that an image
    or a disk depends on, or one that is not tagged as this instance's. A group goes as a whole or
    stays.

    Example: snap-self prune --keep-last 5 --yes
    """
    from snap_self.cli.prune import PruneOptions, run_prune

    options = PruneOptions(
        keep_last=keep_last,
        keep_per_text=keep_per_text,
        force=force,
        yes=yes,
        dry_run=dry_run,
    )
    return run_prune(options, manner)


app.registered_commands += bringing_back.registered_commands


@app.command()
@spelled_out(manner=MANNER)
def doctor(
    *,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            help="Write what the kernel and the cloud say about the disks to DIR, for a report.",
        ),
    ] = None,
    manner: Manner,
) -> int:
    """Check every precondition, each failed one with its mend.

    Example: snap-self doctor
    """
    from snap_self.cli.doctor import run_doctor

    return run_doctor(manner, record=record)


app.registered_commands += telling.registered_commands


@app.command()
@spelled_out(manner=MANNER)
def policy(
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also what `prune` needs: to delete own snapshots.")
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="Also to tag own snapshots with what became of a run.")
    ] = False,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Also to look into snapshots: temporary disks of its own."),
    ] = False,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Also what `rollback --oos` needs, and the role of OOS."),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Also what `rollback --online` needs.")
    ] = False,
    fleet: Annotated[
        str,
        typer.Option(
            "--fleet",
            metavar="KEY=VALUE",
            help="For one role of many instances: all that carry this tag, and their disks.",
        ),
    ] = "",
    session: Annotated[
        bool,
        typer.Option("--session", help="What narrows such a role down to this instance."),
    ] = False,
    disk: Annotated[
        list[str] | None,
        typer.Option(
            "--disk",
            metavar="ID",
            help="Name only this disk (repeatable). [default: all that the metadata name]",
        ),
    ] = None,
    manner: Manner,
) -> int:
    """Print the RAM policy that this instance's role needs, filled in.

    It is made from the metadata alone: no key is needed, and the cloud is not asked. Standard
    output carries the policy, standard error the commands that create it and bind its role, which
    an administrator pastes into a shell elsewhere.

    Example: snap-self policy > policy.json
    """
    from snap_self.cli.policy import PolicyOptions, run_policy

    options = PolicyOptions(
        prune=prune,
        tags=tags,
        restore=restore,
        rollback=rollback,
        online=online,
        session=session,
        fleet=fleet,
        disks=tuple(disk or ()),
    )
    return run_policy(options, manner)


app.registered_commands += monitoring.registered_commands
app.registered_commands += imaging.registered_commands


@app.command()
@spelled_out(manner=MANNER)
def thaw(manner: Manner) -> int:
    """Emergency: end a freeze that an interrupted run left behind.

    Example: snap-self thaw
    """
    from snap_self.cli.thaw import run_thaw

    return run_thaw(manner)


@app.command(hidden=True)
@spelled_out(manner=SPEECH)
def follow(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that asked for it.")] = "",
    manner: Manner,
) -> int:
    """Watch uploads to their end and hold back a reboot meanwhile; started by snap-self itself.

    Example: snap-self follow
    """
    del run  # every run whose upload goes on is watched
    from snap_self.cli.follow import run_follower

    return run_follower(manner)


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the simulated cloud running until Ctrl-C.")
    ] = False,
) -> int:
    """Try the main job here on a simulated cloud, without an account.

    Example: snap-self demo
    """
    from snap_self.cli.demo import run_demo

    return run_demo(keep=keep)
