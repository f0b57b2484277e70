"""Descriptions of a simulated cloud: what they may say, and how faults are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.description import DescriptionError, describe, load, made_up_id


def faults(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        describe(raw)
    return str(caught.value).splitlines()


def test_disks_in_short_belong_to_the_first_instance() -> None:
    described = describe({"disks": [{"size_gib": 3, "fs": "xfs", "mount": "/data"}]})
    [disk] = described.config.instances[0].disks
    [use] = described.uses
    assert (disk.size_gib, disk.disk_id, use.fs, use.mount) == (3, use.disk_id, "xfs", "/data")


def test_ids_that_are_not_given_differ_between_starts() -> None:
    first, second = (describe({"disks": [{}]}) for _ in range(2))
    assert first.uses[0].disk_id != second.uses[0].disk_id
    assert first.config.instances[0].instance_id != second.config.instances[0].instance_id


def test_made_up_id_has_20_letters_and_digits_after_its_kind() -> None:
    assert len(made_up_id("d").removeprefix("d-")) == 20


def test_nested_tables_become_values() -> None:
    described = describe(
        {
            "life": {"cut_s": 1},
            "instances": [{"user_data": "text", "disks": [{"life": {"fail_at": "before_cut"}}]}],
            "roles": [{"name": "R", "policies": [{"Version": "1", "Statement": []}]}],
        }
    )
    config = described.config
    assert (config.life is not None and config.life.cut_s, config.roles[0].name) == (1.0, "R")
    assert config.instances[0].user_data == b"text"
    life = config.instances[0].disks[0].life
    assert life is not None
    assert life.fail_at == "before_cut"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"colour": 1}, "colour: unknown"),
        ({"seed": True}, "seed: must be of type int, not True"),
        ({"instances": [{"disks": [{"size_gib": "1"}]}]}, "instances[0].disks[0].size_gib: must"),
        ({"instances": []}, "instances: must be a list of at least one table"),
        ({"life": 3}, "life: must be a table"),
        ({"other_regions": "cn-beijing"}, "other_regions: must be a list, not 'cn-beijing'"),
        ({"disks": [{"fs": "vfat"}]}, "disks[0].fs: 'vfat' is none of ext4, xfs, btrfs"),
        ({"disks": [{"mount": "/data"}]}, "disks[0].mount: needs fs"),
        ({"disks": [{"fs": "xfs", "mount": "data"}]}, "disks[0].mount: 'data' is not an absolute"),
    ],
)
def test_unfit_value_is_told_with_its_place(raw: dict[str, Any], told: str) -> None:
    [fault] = faults(raw)
    assert fault.startswith(told)


def test_all_faults_are_told_at_once() -> None:
    assert len(faults({"colour": 1, "seed": "x", "disks": [{"fs": "vfat"}]})) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [("cloud.toml", '[[disks]]\nfs = "xfs"\n'), ("cloud.json", '{"disks": [{"fs": "xfs"}]}')],
)
def test_description_is_toml_or_json_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert load(tmp_path / name) == {"disks": [{"fs": "xfs"}]}


def test_unreadable_description_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "cloud.json").write_text(json.dumps([1]))
    with pytest.raises(DescriptionError, match=r"cloud.json: not an object"):
        load(tmp_path / "cloud.json")
