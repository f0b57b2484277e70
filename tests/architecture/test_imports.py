"""Imports point one way; only some places reach outside the process, print or exit."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from code_shape import Module, import_graph, reachable, read_package, rings
from document_tables import PARTS as ORDER

ROOT = Path(__file__).resolve().parents[2]
RECOVERY_KNOWS = ("snap_self.recovery", "snap_self.model", "snap_self.disks", "snap_self.errors")
REACH_OUTSIDE = (
    *("subprocess", "multiprocessing", "signal", "time", "pty", "termios"),
    *("fcntl", "ctypes", "mmap", "socket", "ssl", "select", "selectors"),
    *("http.client", "http.server", "urllib.request", "urllib3", "requests", "httpx"),
    *("psutil", "aliyunsdkcore", "aliyunsdkecs"),
)
OUTSIDE_PARTS = ("system", "cli")
# Each costs tens of milliseconds; a package-manager hook that decides "not risky" must not pay.
HEAVY = ("requests", "aliyunsdkcore", "aliyunsdkecs", "psutil", "cryptography", "urllib3")
HEAVY_BUT_FOR_THE_COMMAND_LINE = (*HEAVY, "rich", "typer", "click")


@pytest.fixture(scope="module")
def product() -> tuple[Module, ...]:
    """Return the product's modules."""
    return read_package(ROOT / "agent/snap_self")


@pytest.fixture(scope="module")
def simulator() -> tuple[Module, ...]:
    """Return the simulator's modules."""
    return read_package(ROOT / "agent/ecs_simulator")


def part_of(name: str) -> str:
    """Return the part of the product that a dotted name lies in; empty for the package itself."""
    return [*name.split("."), ""][1]


def lies_in(name: str, wanted: Iterable[str]) -> bool:
    """Tell whether a dotted name is, or lies in, one of the wanted modules."""
    return any(name == each or name.startswith(f"{each}.") for each in wanted)


def test_every_part_of_the_product_has_a_place_in_the_order(product: tuple[Module, ...]) -> None:
    parts = {part_of(module.name) for module in product}
    assert parts - set(ORDER) <= {"", "__main__"}


def test_product_imports_point_downward(product: tuple[Module, ...]) -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in product
        for name in sorted(module.imports(load_time=False))
        if name.startswith("snap_self.")
        and (above := part_of(name)) in ORDER
        and (below := part_of(module.name)) in ORDER
        and ORDER.index(above) < ORDER.index(below)
    ]
    assert wrong == []


def test_ways_back_are_pure_data_of_what_is_known(product: tuple[Module, ...]) -> None:
    # They are followed outside of the instance too, where none of the rest is.
    known = (*RECOVERY_KNOWS, *sys.stdlib_module_names)
    strays = [
        f"{module.name} imports {name}"
        for module in product
        if part_of(module.name) == "recovery"
        for name in sorted(module.imports(load_time=False))
        if not lies_in(name, known)
    ]
    assert strays == []
    reached = reachable(import_graph(product), "snap_self.recovery.ways")
    assert {part_of(name) for name in reached} <= {"recovery", "disks", "model", "errors"}


def test_imports_make_no_ring(product: tuple[Module, ...], simulator: tuple[Module, ...]) -> None:
    assert rings(import_graph(product)) == ()
    assert rings(import_graph(simulator)) == ()


def test_product_and_simulator_never_import_each_other(
    product: tuple[Module, ...], simulator: tuple[Module, ...]
) -> None:
    crossings = [
        f"{module.name} imports {name}"
        for modules, other in ((product, "ecs_simulator"), (simulator, "snap_self"))
        for module in modules
        for name in module.imports(load_time=False)
        if lies_in(name, (other,))
    ]
    assert crossings == []


def outside(module: Module) -> list[str]:
    return [name for name in module.imports(load_time=False) if lies_in(name, REACH_OUTSIDE)]


def test_only_adapters_and_command_line_reach_outside(product: tuple[Module, ...]) -> None:
    strays = [
        f"{module.name} imports {outside(module)}"
        for module in product
        if outside(module) and part_of(module.name) not in OUTSIDE_PARTS
    ]
    assert strays == []


def test_at_most_15_percent_of_modules_reach_outside(product: tuple[Module, ...]) -> None:
    sized = [module for module in product if module.has_code]
    reaching = [module.name for module in sized if outside(module)]
    # A package of a few modules has hardly anything but adapters to show.
    assert len(reaching) <= max(8, 0.15 * len(sized)), reaching


def test_no_part_loads_heavy_libraries_on_import(product: tuple[Module, ...]) -> None:
    found = [
        f"{module.name} loads {name}"
        for module in product
        for name in sorted(module.imports(load_time=True))
        if lies_in(name, HEAVY_BUT_FOR_THE_COMMAND_LINE if part_of(module.name) != "cli" else HEAVY)
    ]
    assert found == []


def test_only_output_and_command_line_print(product: tuple[Module, ...]) -> None:
    prints = [
        where
        for module in product
        if part_of(module.name) not in ("output", "cli")
        for where in module.calls("print", "sys.stdout.write", "sys.stderr.write")
    ]
    assert prints == []


def test_only_the_command_line_and_the_guardian_exit(product: tuple[Module, ...]) -> None:
    # The guardian is a process of its own.
    exits = [
        where
        for module in product
        if part_of(module.name) not in ("cli", "system", "__main__")
        and not module.name.startswith("snap_self.quiesce.freeze.guardian")
        for where in module.calls("sys.exit", "exit", "quit", "os._exit", "SystemExit")
    ]
    assert exits == []


@pytest.mark.parametrize("part", ["", *(part for part in ORDER if part not in ("plan", "errors"))])
def test_no_two_rooms_of_a_part_point_at_each_other(product: tuple[Module, ...], part: str) -> None:
    inside = f"snap_self.{part}." if part else "snap_self."
    arrows = {
        (room_of(module.name, inside), room_of(name, inside))
        for module in product
        for name in module.imports(load_time=False)
        if module.name.startswith(inside) and name.startswith(inside)
    }
    assert [pair for pair in sorted(arrows) if pair[0] < pair[1] and pair[::-1] in arrows] == []


def room_of(name: str, inside: str) -> str:
    """Return the module or folder right below a part in which a module lies."""
    return name.removeprefix(inside).partition(".")[0]


def test_threads_are_started_only_where_room_is_proved(product: tuple[Module, ...]) -> None:
    started = [
        where
        for module in product
        if part_of(module.name) != "threads"
        for where in module.calls(
            "threading.Thread", "ThreadPoolExecutor", "futures.ThreadPoolExecutor"
        )
    ]
    assert started == []
