"""`snap-self hook status|enable|disable`; the hooks themselves start in ``hooking``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snap_self.cli.options import Json, Manner, Quiet, Verbose

if TYPE_CHECKING:
    from snap_self.output.streams import Streams
    from snap_self.usecases.hook_switch import SwitchFile
    from snap_self.usecases.registration.machine import Machine

# What packages place; in a checkout they lie beside the code.
INSTALLED_HOOKS = Path("/usr/share/snap-self/hooks")
CHECKOUT_HOOKS = Path(__file__).resolve().parents[3] / "packaging" / "hooks"
SWITCH_FILE = "80-package-managers.toml"
READABLE = 0o644
PROGRAM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

hook_app = typer.Typer(
    name="hook",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Manager = Annotated[
    str | None,
    typer.Argument(metavar="MANAGER", help="apt, dnf, zypper or pacman.  [default: all]"),
]


@hook_app.callback(invoke_without_command=True)
def group(context: typer.Context) -> int:
    """Package managers that have a snapshot made before a risky change.

    Example: snap-self hook status
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
        return 2
    return 0


@hook_app.command()
def status(
    manager: Manager = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> int:
    """Show whether package managers really call us.

    Each is asked itself, and what it can do: whether a change can be stopped, what becomes of it
    when no snapshot was made. Faults are shown with their mends; of hooks that are switched on they
    make the status 4.

    Example: snap-self hook status
    """
    from snap_self.cli.wiring import load_settings
    from snap_self.output.hooks import hooks_json, write_hooks
    from snap_self.output.jsonform import dumps
    from snap_self.usecases.hook_status import hook_status

    streams = _streams(Manner(json=json, quiet=quiet, verbose=verbose))
    config = load_settings(os.environ)
    skipped = _skipped(metadata_named=bool(config.network.metadata_url))
    report = hook_status(_machine(), config.package_managers, wanted=manager or "", skipped=skipped)
    if streams.json:
        streams.data(dumps(hooks_json(report)))
    else:
        write_hooks(streams, report)
    return int(report.exit_status)


@hook_app.command()
def enable(
    manager: Manager = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> int:
    """Switch hooks on, and register what is not.

    Example: snap-self hook enable zypper
    """
    return _switch(manager or "", Manner(json=json, quiet=quiet, verbose=verbose), on=True)


@hook_app.command()
def disable(
    manager: Manager = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> int:
    """Switch hooks off; their files stay.

    They answer at once then, and nothing is done.

    Example: snap-self hook disable apt
    """
    return _switch(manager or "", Manner(json=json, quiet=quiet, verbose=verbose), on=False)


def hook_glance(
    enabled: Collection[str],
) -> Callable[[], tuple[Sequence[str], Sequence[str]]] | None:
    """Return what tells which hooks are in place; None where snap-self is not installed."""
    from snap_self.usecases.hook_status import quick_look

    if not INSTALLED_HOOKS.is_dir():
        return None
    return lambda: quick_look(_machine(), enabled)


def _switch(manager: str, manner: Manner, *, on: bool) -> int:
    from snap_self.output.hooks import switched_json, write_switched
    from snap_self.output.jsonform import dumps
    from snap_self.usecases.hook_switch import switch

    streams = _streams(manner)
    switched = switch(_machine(), _switch_file(), manager, on=on)
    if streams.json:
        streams.data(dumps(switched_json(switched)))
    else:
        write_switched(streams, switched)
    return 0


def _streams(manner: Manner) -> Streams:
    from snap_self.output.streams import make_streams

    return make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=manner.json
    )


def _skipped(*, metadata_named: bool) -> str:
    """Return why a hook would do nothing here now, were the change ever so risky."""
    from snap_self.changes.skipping import find_skip
    from snap_self.model.packages import MANAGERS, Transaction
    from snap_self.system.hook_machine import HookMachine
    from snap_self.system.hook_outside import HookOutside
    from snap_self.system.hook_state import HookState

    facts = HookMachine(os.environ, HookOutside()).facts(
        Transaction(MANAGERS[0], ()),
        skip_until=HookState().skip_until(),
        metadata_named=metadata_named,
    )
    skip = find_skip(facts)
    return skip.why if skip else ""


def _machine() -> Machine:
    from snap_self.system.commands import SystemCommands
    from snap_self.system.textfile import read_text_file
    from snap_self.usecases.registration.machine import Machine

    hooks = INSTALLED_HOOKS if INSTALLED_HOOKS.is_dir() else CHECKOUT_HOOKS
    return Machine(
        commands=SystemCommands(),
        read=read_text_file,
        which=_which,
        link=_link,
        hooks=str(hooks),
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
    from snap_self.system.files import replace_file
    from snap_self.usecases.hook_switch import SwitchFile

    path = FOLDER / EXTRA_FOLDER / SWITCH_FILE

    def tables() -> Mapping[str, object]:
        try:
            content = read_config_file(path).content
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
