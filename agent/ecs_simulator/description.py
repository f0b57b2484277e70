"""Turns a description in TOML or JSON into the settings of a simulator process.

The keys are the fields of :class:`SimulatorConfig` and of the classes below it: ``InstanceConfig``,
``DiskConfig`` and so on. A disk of the own instance may also have ``fs``, ``mount``, ``image`` and
``bus``; a free disk may have the last two. A top-level list ``disks`` is short for the disks of one
instance. All faults are reported together.
"""

from __future__ import annotations

import dataclasses
import importlib
import ipaddress
import json
import secrets
import string
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.identifiers import check_fields
from ecs_simulator.storage.loop import FILESYSTEMS
from ecs_simulator.storage.qcow import BUSES, DiskForm

T = TypeVar("T")
Raw = dict[str, Any]
_USE_KEYS = ("fs", "mount", "image", "bus")
_LETTERS = string.ascii_lowercase + string.digits


class DescriptionError(ValueError):
    """A description that cannot be followed; one fault a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """What a disk of the own instance carries.

    Args:
        fs: ``ext4``, ``xfs``, ``btrfs``, or empty for none.
        mount: where, or empty.
        image: raw or qcow2 image with which a virtual machine's disk begins, or empty.
        bus: how a virtual machine's disk is plugged in: ``virtio`` or ``nvme``.
    """

    disk_id: str
    fs: str = ""
    mount: str = ""
    image: str = ""
    bus: str = "virtio"

    @property
    def form(self) -> DiskForm:
        """Return what a virtual machine's storage must know about the disk."""
        return DiskForm(image=self.image, bus=self.bus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A simulated cloud and what its first instance's disks carry."""

    config: SimulatorConfig
    uses: tuple[DiskUse, ...] = ()


def load(path: Path) -> Raw:
    """Return a description file's content; JSON if it is named so, else TOML.

    Raises:
        DescriptionError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else _toml(text)
    except (OSError, ValueError) as error:
        raise DescriptionError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise DescriptionError(f"{path}: not an object")
    return raw


def _toml(text: str) -> Any:
    parser = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return parser.loads(text)


def describe(raw: Raw) -> Description:
    """Return what a description asks for; make up missing ids.

    Raises:
        DescriptionError: unknown keys or unfit values.
    """
    faults: list[str] = []
    plain = _spelled_out(raw, faults)
    uses = _uses(plain["instances"][0].get("disks", []), "disks", faults)
    free = _uses(plain.get("free_disks", []), "free_disks", faults)
    faults += [f"{use.disk_id}: fs is for attached disks only" for use in free if use.fs]
    plain.setdefault("seed", secrets.randbits(31))
    config = _object(SimulatorConfig, plain, "", faults)
    faults += _unfit(config) if config else ()
    if faults or config is None:
        raise DescriptionError("\n".join(faults))
    return Description(config=config, uses=(*uses, *free))


def _spelled_out(raw: Raw, faults: list[str]) -> Raw:
    """Return a separate copy with the disks where SimulatorConfig has them."""
    plain: Raw = json.loads(json.dumps(raw, default=str))
    disks = plain.pop("disks", None)
    instances = plain.setdefault("instances", [{}])
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        faults.append("instances: must be a list of at least one table")
        plain["instances"] = instances = [{}]
    if disks is not None:
        instances[0].setdefault("disks", []).extend(disks)
    instances[0].setdefault("instance_id", made_up_id("i"))
    return plain


def _uses(disks: Any, where: str, faults: list[str]) -> list[DiskUse]:
    """Remove the fields that do not belong to the cloud from the disks."""
    uses = []
    for place, disk in enumerate(disks if isinstance(disks, list) else []):
        if isinstance(disk, dict):
            disk.setdefault("disk_id", made_up_id("d"))
            use = {name: disk.pop(name) for name in _USE_KEYS if name in disk}
            uses.append(_use(use | {"disk_id": disk["disk_id"]}, f"{where}[{place}]", faults))
    return uses


def _use(values: Raw, where: str, faults: list[str]) -> DiskUse:
    use = _object(DiskUse, values, where, faults) or DiskUse(disk_id="")
    if use.fs and use.fs not in FILESYSTEMS:
        faults.append(f"{where}.fs: {use.fs!r} is none of {', '.join(FILESYSTEMS)}")
    if use.bus not in BUSES:
        faults.append(f"{where}.bus: {use.bus!r} is none of {', '.join(BUSES)}")
    if use.image and not Path(use.image).is_file():
        faults.append(f"{where}.image: there is no file {use.image}")
    if use.mount and not use.fs:
        faults.append(f"{where}.mount: needs fs")
    if use.mount and not Path(use.mount).is_absolute():
        faults.append(f"{where}.mount: {use.mount!r} is not an absolute path")
    return use


def _unfit(config: SimulatorConfig) -> Iterator[str]:
    """Yield the faults of values that have the right type."""
    for network in config.trust_peers_from:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            yield f"trust_peers_from: {error}"
    named: list[tuple[str, InstanceConfig | DiskConfig]] = []
    for number, instance in enumerate(config.instances):
        named.append((f"instances[{number}]", instance))
        named += [(f"instances[{number}].disks[{n}]", d) for n, d in enumerate(instance.disks)]
    named += [(f"free_disks[{n}]", disk) for n, disk in enumerate(config.free_disks)]
    for where, one in named:
        try:
            check_fields({f.name: getattr(one, f.name) for f in dataclasses.fields(one)})
        except ValueError as error:
            yield f"{where}.{error}"


def made_up_id(kind: str) -> str:
    """Return a new id as the cloud's: 20 letters and digits after the kind."""
    return f"{kind}-bp1" + "".join(secrets.choice(_LETTERS) for _ in range(17))


def _object(kind: type[T], raw: Any, where: str, faults: list[str]) -> T | None:
    if not isinstance(raw, Mapping):
        faults.append(f"{where}: must be a table")
        return None
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    faults += [
        f"{where}{'.' * bool(where)}{name}: unknown; there are {', '.join(sorted(known))}"
        for name in sorted(set(raw) - known)
    ]
    before = len(faults)
    values = {
        name: _value(hints[name], raw[name], f"{where}{'.' * bool(where)}{name}", faults)
        for name in known & set(raw)
    }
    return kind(**values) if len(faults) == before else None


def _value(hint: Any, raw: Any, where: str, faults: list[str]) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        hint = next(one for one in inner if one is not type(None))
        return _value(hint, raw, where, faults)
    if dataclasses.is_dataclass(hint):
        return _object(hint, raw, where, faults)  # type: ignore[arg-type]
    if origin is tuple:
        return _sequence(inner[0], raw, where, faults)
    if origin is not None:
        if not isinstance(raw, Mapping):
            faults.append(f"{where}: must be a table, not {raw!r}")
        return raw
    return _scalar(hint, raw, where, faults)


def _sequence(hint: Any, raw: Any, where: str, faults: list[str]) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        faults.append(f"{where}: must be a list, not {raw!r}")
        return ()
    return tuple(_value(hint, one, f"{where}[{n}]", faults) for n, one in enumerate(raw))


def _scalar(hint: type[Any], raw: Any, where: str, faults: list[str]) -> Any:
    if hint is bytes and isinstance(raw, str):
        return raw.encode()
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not isinstance(raw, hint) or (hint is int and isinstance(raw, bool)):
        faults.append(f"{where}: must be of type {hint.__name__}, not {raw!r}")
    return raw
