"""Ids and serials: whatever is taken for one is a harmless name of a file, and nothing else is."""

from __future__ import annotations

import json
import string
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.control_api import answer
from ecs_simulator.controls import Controls
from ecs_simulator.description import DescriptionError, describe
from ecs_simulator.identifiers import check_id, check_serial
from fakes.simulated_cloud import NotingStorage

HARMLESS = set(string.ascii_letters + string.digits + "_-")
EVIL = (
    *("", "/", ".", "..", "d-", "-", "d-a/b", "../d-a", "../../../tmp/d-a", "d-a/..", "/d-a"),
    *("d-a\0", "d-a\n", "\nd-a", "d-a ", " d-a", "d-\u0430", "d-\uff41", "D-a", "d-A", "d-a.img"),
    *("d-" + "a" * 41, "d-" + "a" * 5000, "d-a,file=x", "d-\udc2f", "d_a", "d--a", "d-a-b"),
    *(7, True, ["d-a"], {"d-a": 1}, 1.5),
)
# Hardly any random text is an id; texts made of what ids are made of come close.
ALMOST = st.text(alphabet="d-i../\0\n aA0_%~", max_size=12)
ANYTHING = st.one_of(st.text(max_size=60), ALMOST, st.from_regex(r"[a-z]+-[0-9a-z]+"))


def told(controls: Controls, method: str, name: str, body: Any) -> tuple[int, Any]:
    text = json.dumps(body).encode()
    status, said = answer(controls, {}, method=method, path=f"/_simulator/{name}", body=text)
    return status, json.loads(said)


@pytest.fixture
def storage() -> NotingStorage:
    return NotingStorage()


@pytest.fixture
def controls(storage: NotingStorage) -> Controls:
    own = InstanceConfig(instance_id="i-own", disks=(DiskConfig(disk_id="d-own"),))
    return Controls(SimulatorConfig(instances=(own,)), storage=storage)


@given(text=ANYTHING)
def test_what_is_taken_for_an_id_is_one_harmless_name(text: str) -> None:
    try:
        taken = check_id(text, "id")
    except ValueError:
        return
    assert taken == text
    assert set(text) <= HARMLESS
    assert PurePosixPath("/folder", f"{text}.img").parent == PurePosixPath("/folder")
    assert len(text.encode()) < 64


@given(text=ANYTHING)
def test_what_is_taken_for_a_serial_is_the_end_of_one_harmless_name(text: str) -> None:
    try:
        check_serial(text)
    except ValueError:
        return
    assert set(text) <= HARMLESS
    assert len(text) <= 40


@given(text=ANYTHING.filter(lambda text: "/" in text or not text.isascii()))
def test_refusal_of_an_id_is_short_and_can_be_printed(text: str) -> None:
    with pytest.raises(ValueError, match="is no id") as caught:
        check_id(text, "id")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("evil", EVIL, ids=lambda evil: ascii(evil)[:30])
@pytest.mark.parametrize(
    ("control", "field", "more"),
    [
        ("POST disks", "disk_id", {"size_gib": 1}),
        ("DELETE disks", "disk_id", {}),
        ("PUT disk", "disk_id", {"name": "x"}),
        ("PUT disk-life", "disk_id", {"cut_s": 1.0}),
        ("POST snapshots", "disk_id", {"count": 1, "tags": {}}),
        ("POST image-path", "snapshot_id", {}),
        ("POST fail-snapshot", "snapshot_id", {}),
        ("PUT image", "snapshot_id", {}),
    ],
)
def test_control_refuses_an_evil_id_and_touches_nothing(
    controls: Controls, storage: NotingStorage, control: str, field: str, more: Any, evil: Any
) -> None:
    before = list(storage.log)
    method, name = control.split(" ")
    status, said = told(controls, method, name, {field: evil, **more})
    assert status == 400
    assert field in said["error"]
    assert storage.log == before
    assert list(controls.state.disks) == ["d-own"]


@pytest.mark.parametrize("evil", [evil for evil in EVIL if evil != ""], ids=lambda e: ascii(e)[:30])
def test_control_refuses_an_evil_instance(controls: Controls, evil: Any) -> None:
    status, said = told(controls, "POST", "disks", {"instance_id": evil})
    assert (status, "instance_id" in said["error"]) == (400, True)
    assert list(controls.state.disks) == ["d-own"]


@pytest.mark.parametrize("evil", ["../x", "a/b", "a\0", "a" * 41, "a.b", "ä", 7])
@pytest.mark.parametrize(("method", "name"), [("POST", "disks"), ("PUT", "disk")])
def test_control_refuses_an_evil_serial(
    controls: Controls, storage: NotingStorage, method: str, name: str, evil: Any
) -> None:
    before = list(storage.log)
    wanted = {"serial": evil, **({"disk_id": "d-own"} if method == "PUT" else {})}
    status, said = told(controls, method, name, wanted)
    assert (status, "serial" in said["error"]) == (400, True)
    assert (storage.log, controls.state.disks["d-own"].serial) == (before, "own")


@given(disk_id=ANYTHING, serial=ANYTHING)
def test_names_that_reach_the_storage_are_harmless(disk_id: str, serial: str) -> None:
    storage = NotingStorage()
    controls = Controls(SimulatorConfig(), storage=storage)
    status, _ = told(controls, "POST", "disks", {"disk_id": disk_id, "serial": serial})
    for _, *names in storage.log:
        assert all(set(name) <= HARMLESS for name in names)
    assert (status == 200) == bool(storage.log)


def test_second_disk_of_one_id_is_refused(controls: Controls) -> None:
    status, said = told(controls, "POST", "disks", {"disk_id": "d-own"})
    assert (status, "already" in said["error"]) == (400, True)


def test_description_with_evil_names_tells_them_all() -> None:
    disks = [{"disk_id": "../../etc/x"}, {"serial": "a/b"}]
    with pytest.raises(DescriptionError) as caught:
        describe({"instances": [{"instance_id": "i/own", "disks": disks}]})
    faults = str(caught.value).splitlines()
    assert [fault.partition(":")[0] for fault in faults] == [
        "instances[0].instance_id",
        "instances[0].disks[0].disk_id",
        "instances[0].disks[1].serial",
    ]


def test_description_with_a_network_that_is_none_tells_it() -> None:
    with pytest.raises(DescriptionError, match="trust_peers_from"):
        describe({"trust_peers_from": ["192.0.2.0/240"]})


@pytest.mark.parametrize("evil", ["../x", "d-A", "d-a/b"])
def test_cloud_is_not_begun_with_an_evil_name(evil: str) -> None:
    instance = InstanceConfig(disks=(DiskConfig(disk_id=evil),))
    with pytest.raises(ValueError, match="disk_id"):
        Controls(SimulatorConfig(instances=(instance,)))
