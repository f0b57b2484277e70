"""The Terraform example: it parses, is well formed, and its policy is the agent's own.

Its provider comes from a registry, and what it does from the real cloud: neither is tried.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from snap_self.access.documents import FleetTag, fleet_policy
from snap_self.model.actions import Holder, Policy
from snap_self.model.ids import DiskId, InstanceId, RegionId

FOLDER = Path(__file__).resolve().parents[2] / "packaging/terraform"
RAM = FOLDER.parent / "ram"
MODULES = sorted(FOLDER.glob("*.tf"))
VALUES = {
    "region": "cn-hangzhou",
    "account_id": "123456789012345",
    "tag_key": "team",
    "tag_value": "web",
    "instance_ids": '["i-1"]',
}
# Required arguments of each resource and those that are used beside them, as the documentation of
# the provider aliyun/alicloud 1.252 lists them.
KNOWN: dict[str, tuple[set[str], set[str]]] = {
    "alicloud_ram_role": ({"role_name", "assume_role_policy_document"}, {"description"}),
    "alicloud_ram_policy": ({"policy_name", "policy_document"}, {"description"}),
    "alicloud_ram_role_policy_attachment": ({"role_name", "policy_name", "policy_type"}, set()),
    "alicloud_ecs_ram_role_attachment": ({"instance_id", "ram_role_name"}, {"for_each"}),
    "alicloud_oos_template": ({"template_name", "content"}, {"count"}),
}


def plain(name: str) -> str:
    return name.strip('"')


def parsed(text: str) -> dict[str, Any]:
    value = hcl2.loads(text)
    assert isinstance(value, dict)
    return value


def resources() -> list[tuple[str, set[str]]]:
    """Return the kind of each resource, and its arguments."""
    found = []
    for path in MODULES:
        for block in parsed(path.read_text(encoding="utf-8")).get("resource", []):
            for kind, named in block.items():
                for body in named.values():
                    arguments = {plain(key) for key in body if not key.startswith("__")}
                    found.append((plain(kind), arguments))
    return found


def faults(found: list[tuple[str, set[str]]]) -> list[str]:
    """Say what the provider would not take."""
    wrong = [kind for kind, _ in found if kind not in KNOWN]
    for kind, arguments in found:
        required, others = KNOWN.get(kind, (set(), arguments))
        wrong += [f"{kind} lacks {each}" for each in sorted(required - arguments)]
        wrong += [f"{kind}.{each}" for each in sorted(arguments - required - others)]
    return wrong


def test_each_resource_has_the_arguments_that_its_provider_knows() -> None:
    assert {kind for kind, _ in resources()} == set(KNOWN)
    assert faults(resources()) == []


def test_argument_that_is_wrong_or_lacking_would_be_seen() -> None:
    assert faults([("alicloud_oos_template", {"template_name", "contents"})]) == [
        "alicloud_oos_template lacks content",
        "alicloud_oos_template.contents",
    ]
    assert faults([("alicloud_ram_rolle", set())]) == ["alicloud_ram_rolle"]


def test_what_is_not_terraforms_language_does_not_parse() -> None:
    with pytest.raises(Exception, match=r"."):
        parsed('resource "a" "b" {')


def terraform(*words: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is installed here: the form is not checked")
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "TF_CLI_CONFIG_FILE": os.devnull,
            "CHECKPOINT_DISABLE": "1",
        },
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_form_is_terraforms_own(tmp_path: Path) -> None:
    done = terraform("fmt", "-check", "-diff", str(FOLDER), folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "bad.tf").write_text("locals {\na=1\n}\n", encoding="utf-8")
    assert terraform("fmt", "-check", folder=tmp_path).returncode != 0


def test_policy_that_comes_out_is_the_agents_own(tmp_path: Path) -> None:
    module = tmp_path / "terraform"
    module.mkdir()
    # Without what needs the provider.
    for name in ("policy.tf", "variables.tf"):
        shutil.copy(FOLDER / name, module)
    shutil.copytree(RAM, tmp_path / "ram")
    values = [word for name, value in VALUES.items() for word in ("-var", f"{name}={value}")]
    done = terraform(
        "console", *values, folder=module, given="jsonencode(jsondecode(local.policy))"
    )
    assert done.returncode == 0, done.stderr
    holder = Holder(
        region=RegionId(VALUES["region"]),
        account=VALUES["account_id"],
        instance_id=InstanceId("i-1"),
        disks=(DiskId("d-1"),),
    )
    tag = FleetTag(key=VALUES["tag_key"], value=VALUES["tag_value"])
    wanted = json.loads(json.dumps(fleet_policy(holder, tag, [Policy.CREATE])))
    assert json.loads(json.loads(done.stdout)) == wanted


def test_account_that_is_no_number_is_refused(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "variables.tf", tmp_path)
    values = {**VALUES, "account_id": "me"}
    words = [word for name, value in values.items() for word in ("-var", f"{name}={value}")]
    done = terraform("console", *words, folder=tmp_path, given="var.region")
    assert "The account is a number" in done.stderr + done.stdout
