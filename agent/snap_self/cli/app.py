"""The commands: parse, call one use case, render, exit.

What they do is imported when one is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from snap_self import __version__
from snap_self.cli.hook_app import hook_app
from snap_self.cli.options import (
    Before,
    Description,
    Disks,
    Exclude,
    JobOptions,
    Json,
    Keep,
    Level,
    Manner,
    Name,
    OnQuiesceFailure,
    OnSnapshotFailure,
    Paths,
    Quiet,
    Reuse,
    Tags,
    Timeout,
    Verbose,
    Wait,
)

app = typer.Typer(
    name="snap-self",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(hook_app)


def run_app(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the command and return its exit status."""
    result: object = app(args=list(arguments), standalone_mode=False, prog_name="snap-self")
    return result if isinstance(result, int) else 0


@app.callback(invoke_without_command=True)
def job(  # one parameter per documented option
    context: typer.Context,
    before: Before = None,
    path: Paths = None,
    disk: Disks = None,
    exclude: Exclude = None,
    consistency: Level = None,
    on_quiesce_failure: OnQuiesceFailure = None,
    wait: Wait = None,
    timeout: Timeout = None,
    keep: Keep = None,
    name: Name = None,
    tag: Tags = None,
    description: Description = None,
    reuse: Reuse = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, do nothing (same as `plan`).")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    recorded: Annotated[Path | None, typer.Option("--recorded", hidden=True)] = None,
) -> int:
    """Snapshot this ECS instance's own disks before something risky.

    Example: snap-self --before "os upgrade"
    """
    if version:
        # Without the encoder, whose import would take longer than all the rest.
        print(
            f'{{"schema": 1, "version": "{__version__}"}}' if json else f"snap-self {__version__}"
        )
        return 0
    if context.invoked_subcommand is not None:
        _refuse_options_before(context.invoked_subcommand, context)
        return 0
    options = JobOptions(
        before=before,
        paths=path or (),
        disks=disk or (),
        exclude=exclude or (),
        consistency=consistency,
        on_quiesce_failure=on_quiesce_failure,
        wait=wait,
        timeout=timeout,
        keep=keep,
        name=name,
        tags=tag or (),
        description=description,
        reuse=reuse,
    )
    manner = Manner(json=json, quiet=quiet, verbose=verbose)
    if before is None and len(sys.argv) == 1:
        print(context.get_help())
        return 2
    from snap_self.cli import commands

    if dry_run:
        return commands.plan(options, manner, recorded=recorded, offline=False)
    return commands.snapshot(options, manner, recorded=recorded)


def _refuse_options_before(command: str, context: typer.Context) -> None:
    """Refuse options in front of a command's name, since that command never sees them.

    Raises:
        UsageError: there are some.
    """
    given = [
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        from snap_self.errors import UsageError

        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"{options} before the word {command} would have no effect",
            hint=f"options of a command follow its name: snap-self {command} …; "
            f"`snap-self {command} --help` shows which it takes",
        )


@app.command()
def plan(
    before: Before = None,
    path: Paths = None,
    disk: Disks = None,
    exclude: Exclude = None,
    consistency: Level = None,
    on_quiesce_failure: OnQuiesceFailure = None,
    wait: Wait = None,
    timeout: Timeout = None,
    keep: Keep = None,
    name: Name = None,
    tag: Tags = None,
    description: Description = None,
    reuse: Reuse = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            "--recorded",
            metavar="DIR",
            help="Plan for a machine recorded by `doctor --record DIR`, without any network.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Show what the main job would do and why; nothing is done.

    Example: snap-self plan --before "os upgrade" --path /srv
    """
    options = JobOptions(
        before=before if before is not None else "plan",
        paths=path or (),
        disks=disk or (),
        exclude=exclude or (),
        consistency=consistency,
        on_quiesce_failure=on_quiesce_failure,
        wait=wait,
        timeout=timeout,
        keep=keep,
        name=name,
        tags=tag or (),
        description=description,
        reuse=reuse,
    )
    manner = Manner(json=json, quiet=quiet, verbose=verbose)
    from snap_self.cli import commands

    return commands.plan(options, manner, recorded=recorded, offline=True)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="CMD", help="The command and its arguments.")
    ],
    before: Before = None,
    path: Paths = None,
    disk: Disks = None,
    exclude: Exclude = None,
    consistency: Level = None,
    on_quiesce_failure: OnQuiesceFailure = None,
    on_snapshot_failure: OnSnapshotFailure = None,
    wait: Wait = None,
    timeout: Timeout = None,
    keep: Keep = None,
    name: Name = None,
    tag: Tags = None,
    description: Description = None,
    reuse: Reuse = None,
    recorded: Annotated[Path | None, typer.Option("--recorded", hidden=True)] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Make the snapshot, then run CMD; its exit status is passed on.

    CMD has the terminal, standard input and output as if it had been started without snap-self.
    Without a snapshot it is not started, and the status is 125.

    Example: snap-self run --before "schema change" -- ./migrate.sh --all
    """
    options = JobOptions(
        before=before,
        paths=path or (),
        disks=disk or (),
        exclude=exclude or (),
        consistency=consistency,
        on_quiesce_failure=on_quiesce_failure,
        wait=wait,
        timeout=timeout,
        keep=keep,
        name=name,
        tags=tag or (),
        description=description,
        reuse=reuse,
    )
    manner = Manner(json=json, quiet=quiet, verbose=verbose)
    from snap_self.cli import running

    extra = running.RunOptions(
        argv=tuple(command), on_snapshot_failure=on_snapshot_failure, recorded=recorded
    )
    return running.run(options, extra, manner)


@app.command("list")
def list_command(json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> int:
    """List this instance's snapshots made by snap-self, newest first.

    Example: snap-self list --json
    """
    from snap_self.cli import commands

    return commands.list_snapshots(Manner(json=json, quiet=quiet, verbose=verbose))


@app.command()
def show(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Snapshot, group or run id.")],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Show one run's snapshots in full, with the ways back.

    Example: snap-self show s-bp1a2b3c4d5e6f7g8h9i
    """
    from snap_self.cli import commands

    return commands.show(wanted, Manner(json=json, quiet=quiet, verbose=verbose))


@app.command()
def prune(
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
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Delete this instance's snapshots made by snap-self that are past their date.

    Never the newest good one of a disk, one kept for ever, one that an image or a disk depends on,
    or one that is not tagged as this instance's. A group goes as a whole or stays.

    Example: snap-self prune --keep-last 5 --yes
    """
    from snap_self.cli import pruning

    options = pruning.PruneOptions(
        keep_last=keep_last,
        keep_per_text=keep_per_text,
        force=force,
        yes=yes,
        dry_run=dry_run,
    )
    return pruning.prune(options, Manner(json=json, quiet=quiet, verbose=verbose))


@app.command()
def doctor(
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            help="Write what the kernel and the cloud say about the disks to DIR, for a report.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Check every precondition, each failed one with its mend.

    Example: snap-self doctor
    """
    from snap_self.cli import commands

    return commands.doctor(Manner(json=json, quiet=quiet, verbose=verbose), record=record)


@app.command()
def thaw(json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> int:
    """Emergency: end a freeze that an interrupted run left behind.

    Example: snap-self thaw
    """
    from snap_self.cli import commands

    return commands.thaw(Manner(json=json, quiet=quiet, verbose=verbose))


@app.command(hidden=True)
def follow(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that asked for it.")] = "",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Watch uploads to their end and hold back a reboot meanwhile; started by snap-self itself.

    Example: snap-self follow
    """
    del run  # every run whose upload goes on is watched
    from snap_self.cli import following

    return following.run_follower(Manner(json=False, quiet=quiet, verbose=verbose))


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the simulated cloud running until Ctrl-C.")
    ] = False,
) -> int:
    """Run the main job on this machine against the bundled simulated ECS; no account needed.

    Example: snap-self demo
    """
    from snap_self.cli.demo import run_demo

    return run_demo(keep=keep)
