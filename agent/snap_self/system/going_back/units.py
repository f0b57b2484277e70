"""Units of systemd, stopped and started again."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence

from snap_self.errors import DisksInUse
from snap_self.model.going_back import UnitFacts
from snap_self.ports import Commands

QUICK_S = 20.0
# A database may write back all it has in memory before it ends.
LONG_S = 900.0
_RUNS = frozenset({"active", "reloading", "activating"})
# Stopped by systemd together with a unit; what an old systemd does not know it leaves out.
# Source: systemd.unit(5), Requires=, BindsTo=, PartOf=, PropagatesStopTo= and their inverses.
_STOPPED_WITH = ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo")
_TOLD = ",".join(("LoadState", "ActiveState", "TriggeredBy", "UpheldBy", *_STOPPED_WITH))
# Of a mount or device that goes without a job of systemd's own. Source: systemd.unit(5), BindsTo=,
# Upholds=.
_BOUND = ("BoundBy", "UpheldBy")
# They go with the disks, and come with them again.
_OF_DISKS = (".device", ".mount", ".automount", ".swap")
_TARGET = ".target"
_KEPT = frozenset((string.ascii_letters + string.digits + ":_.").encode())


def unit_of_path(path: str, kind: str) -> str:
    """Return the unit of a mount point or a device node, such as ``srv-data.mount``.

    Source: systemd.unit(5), "String Escaping for Inclusion in Unit Names".
    """
    parts = "/".join(filter(None, path.split("/")))
    escaped = "".join(
        _escaped(char, first=place == 0) for place, char in enumerate(os.fsencode(parts))
    )
    return f"{escaped or '-'}.{kind}"


def _escaped(char: int, *, first: bool) -> str:
    if char == ord("/"):
        return "-"
    kept = char in _KEPT and not (first and char == ord("."))
    return chr(char) if kept else f"\\x{char:02x}"


class Units:
    """Asks systemctl, which waits until a unit has stopped or started."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def facts(self, name: str) -> UnitFacts:
        """Return what systemd tells of a unit."""
        status, out, _ = self._systemctl(("show", f"--property={_TOLD}", "--", name), QUICK_S)
        told = dict(line.partition("=")[::2] for line in out.split("\n"))
        known = status == 0 and told.get("LoadState") == "loaded"
        with_it = (unit for kind in _STOPPED_WITH for unit in told.get(kind, "").split())
        return UnitFacts(
            name=name,
            known=known,
            active=told.get("ActiveState", "") in _RUNS,
            stopped_with=tuple(dict.fromkeys(with_it)),
            triggered_by=tuple(told.get("TriggeredBy", "").split()),
            upheld_by=tuple(told.get("UpheldBy", "").split()),
        )

    def bound_to(self, units: Sequence[str]) -> tuple[str, ...]:
        """Return the units that systemd stops when one of these goes, or that have it come again.

        Args:
            units: mounts and devices; those that systemd does not know are bound to nothing.
        """
        if not units:
            return ()
        asked = ("show", f"--property={','.join(_BOUND)}", "--", *units)
        _, out, _ = self._systemctl(asked, QUICK_S)
        told = (line.partition("=") for line in out.split("\n"))
        names = (name for kind, _, rest in told if kind in _BOUND for name in rest.split())
        return tuple(dict.fromkeys(name for name in names if not name.endswith(_OF_DISKS)))

    def stop(self, name: str) -> None:
        """Stop a unit, and at once what may start it again meanwhile.

        Raises:
            DisksInUse: it did not stop.
        """
        triggers = self.facts(name).triggered_by
        status, _, err = self._systemctl(("stop", "--", name, *triggers), LONG_S)
        if status != 0:
            raise DisksInUse(
                f"unit {name} did not stop (systemctl ended with status {status})",
                hint=f"journalctl -u {name} tells why",
                details=err.strip(),
            )

    def start(self, name: str) -> str:
        """Start a unit; return why it did not start, empty if it did.

        A target is reached again, and starts nothing that did not run before.
        """
        alone = ("--job-mode=ignore-dependencies",) if name.endswith(_TARGET) else ()
        status, _, _ = self._systemctl(("start", *alone, "--", name), LONG_S)
        return "" if status == 0 else f"systemctl start ended with status {status}"

    def _systemctl(self, words: tuple[str, ...], limit_s: float) -> tuple[int, str, str]:
        try:
            return self._commands.run(("systemctl", *words), timeout_s=limit_s)
        except TimeoutError:
            return 124, "", f"no answer within {limit_s:g} s"
        except OSError as error:
            return 127, "", str(error.strerror or error)
