"""`snap-self hook status|enable|disable`; the hooks themselves start in ``manager_hook``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snap_self.cli.console import console
from snap_self.cli.grammar import App
from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out
from snap_self.model.packages import MANAGERS

if TYPE_CHECKING:
    from snap_self.changes.registration.machine import Machine
    from snap_self.config.settings import Config
    from snap_self.usecases.manager_switch import SwitchFile

SWITCH_FILE = "80-package-managers.toml"
READABLE = 0o644
PROGRAM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

hook_app = App(
    name="hook",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Manager = Annotated[
    str | None,
    typer.Argument(metavar="MANAGER", help=f"One of {', '.join(MANAGERS)}.  [default: all]"),
]


@hook_app.callback(invoke_without_command=True)
def group(context: typer.Context) -> int:
    """Package managers that have a snapshot made before a change.

    Example: snap-self hook status
    """
    if context.invoked_subcommand is None:
        console().data(*context.get_help().split("\n"))
        return 2
    return 0


@hook_app.command()
@spelled_out(manner=MANNER)
def status(*, manager: Manager = None, manner: Manner) -> int:
    """Show whether package managers really call us.

    Each is asked itself. For root those that can also rehearse: a transaction of one empty package
    ends in our hook and changes nothing. Faults are shown with their mends. Of hooks that are
    switched on they make the status 4, and so does a reason why no change gets a snapshot.

    Example: snap-self hook status
    """
    from snap_self.cli.session import open_session
    from snap_self.cli.wiring import usable_settings
    from snap_self.output.managers import write_managers
    from snap_self.usecases.manager_status import configuration_faults, manager_status

    machine = _machine()
    loaded = usable_settings(os.environ)
    with open_session(manner, load=lambda _: loaded.config) as session:
        report = manager_status(
            machine,
            session.config.package_managers,
            wanted=manager or "",
            skipped=_skipped(session.config),
        )
        report = replace(report, configuration=configuration_faults(loaded.fault))
    write_managers(session.streams, report)
    return int(report.exit_status)


@hook_app.command()
@spelled_out(manner=MANNER)
def enable(*, manager: Manager = None, manner: Manner) -> int:
    """Switch hooks on, and register what is not.

    Example: snap-self hook enable zypper
    """
    return _switch(manager or "", manner, on=True)


@hook_app.command()
@spelled_out(manner=MANNER)
def disable(*, manager: Manager = None, manner: Manner) -> int:
    """Switch hooks off; their files stay.

    A hook that is off answers its package manager at once and makes no snapshot.

    Example: snap-self hook disable apt
    """
    return _switch(manager or "", manner, on=False)


@hook_app.command(hidden=True)
@spelled_out(manner=MANNER)
def covers(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that made them.")],
    manner: Manner,
) -> int:
    """Tell whether a run's snapshots still exist; started by the hooks themselves.

    Example: snap-self hook covers 20261122t220501z-1f2e3d
    """
    from snap_self.cli.session import open_session
    from snap_self.model.ids import RunId
    from snap_self.output.jsonform import write_json
    from snap_self.output.managers import cover_json
    from snap_self.output.progress import PlainView
    from snap_self.usecases.cover import look_again

    # A hook of an older version, which runs while its files are replaced, does not say `--json`.
    with open_session(replace(manner, json=True), view=PlainView) as session:
        cover = look_again(session.tools(), RunId(run))
    write_json(session.streams, cover_json(cover))
    return 0


def managers_glance(
    enabled: Collection[str],
) -> Callable[[], tuple[Sequence[str], Sequence[str]]] | None:
    """Return what tells which hooks are in place; None where snap-self is not installed."""
    from snap_self.model.installation import HOOKS
    from snap_self.usecases.manager_status import quick_look

    if not Path(HOOKS).is_dir():
        return None
    return lambda: quick_look(_machine(), enabled)


def _switch(manager: str, manner: Manner, *, on: bool) -> int:
    from snap_self.cli.session import streams_of
    from snap_self.output.managers import write_switched
    from snap_self.usecases.manager_switch import switch

    switched = switch(_machine(), _switch_file(), manager, on=on)
    write_switched(streams_of(manner), switched, on=on)
    return 0


def _skipped(config: Config) -> str:
    """Return why a hook would do nothing here now, were the change ever so risky."""
    from snap_self.changes.risk import nothing_is_risky
    from snap_self.changes.skipping import find_skip
    from snap_self.cli.manager_settings import manager_settings
    from snap_self.model.packages import Transaction
    from snap_self.system.managers.machine import ManagerMachine
    from snap_self.system.managers.outside import ManagerOutside
    from snap_self.system.managers.state import ManagerState

    facts = ManagerMachine(os.environ, ManagerOutside()).facts(
        Transaction(MANAGERS[0], ()),
        skip_until=ManagerState().skip_until(),
        metadata_named=bool(config.network.metadata_url),
    )
    skip = find_skip(facts)
    if skip is None and nothing_is_risky(manager_settings(config)):
        return "by package_managers.never nothing counts as risky"
    return skip.why if skip else ""


def _hooks_folder() -> str:
    """Return the folder with what package managers are given.

    Raises:
        HooksAbsent: there is none here.
    """
    from snap_self.errors import HooksAbsent
    from snap_self.model.installation import COMES_WITH
    from snap_self.system.installation import read_installation

    found = read_installation()
    if not found.hooks:
        raise HooksAbsent(
            f"{found.words}: package managers' hooks come with {COMES_WITH}",
            hint="install one of these, or start the change itself by snap-self: "
            'snap-self run --before "os upgrade" -- CMD',
        )
    return found.hooks


def _machine() -> Machine:
    """Return what the probes ask of this machine.

    Raises:
        HooksAbsent: there is nothing here that could be registered.
    """
    from snap_self.changes.registration.machine import Machine
    from snap_self.system.commands import SystemCommands
    from snap_self.system.environment import program_environment
    from snap_self.system.managers.outside import ManagerOutside
    from snap_self.system.managers.stage import ManagerStage
    from snap_self.system.managers.state import ManagerState
    from snap_self.system.textfile import read_text_file

    return Machine(
        commands=SystemCommands(env=program_environment()),
        read=read_text_file,
        which=_which,
        link=_link,
        hooks=_hooks_folder(),
        names=ManagerOutside().names_in,
        stage=(lambda: ManagerStage(ManagerState())) if os.geteuid() == 0 else None,
    )


def _which(program: str) -> str:
    path = f"{os.environ.get('PATH', '')}:{PROGRAM_FOLDERS}"
    return shutil.which(program, path=path) or ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _switch_file() -> SwitchFile:
    from snap_self.cli.wiring import load_settings
    from snap_self.config.load import EXTRA_FOLDER, FOLDER, parse_toml
    from snap_self.system.configfiles import read_config_file
    from snap_self.system.state.files import replace_file
    from snap_self.usecases.manager_switch import SwitchFile

    path = FOLDER / EXTRA_FOLDER / SWITCH_FILE

    def tables() -> Mapping[str, object]:
        try:
            content = read_config_file(path)
        except FileNotFoundError:
            return {}
        return parse_toml(content.decode())

    def write(text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text, mode=READABLE)

    return SwitchFile(
        path=str(path),
        load=lambda: load_settings(os.environ).package_managers.enabled,
        tables=tables,
        write=write,
    )
