"""The shell lines that give a policy to a role, and the role to an instance."""

from __future__ import annotations

import json
import shlex

from snap_self.access.documents import (
    as_sent,
    fleet_policy,
    parse_fleet_tag,
    role_policy,
    session_policy,
    trust_policy,
)
from snap_self.access.setup import MAX_ROLE_NAME, fleet_setup, role_setup, session_setup
from snap_self.model.actions import Holder, Policy

ME = "i-bp1aaaabbbbccccdddde"
HERE = Holder(region="cn-x", account="42", instance_id=ME, disks=("d-1", "d-2"))
DOCUMENT = role_policy(HERE, [Policy.CREATE])


def actions(lines: tuple[str, ...]) -> list[str]:
    """Return the operations that lines call, or the variables that they set."""
    return [
        words[2] if len(words := shlex.split(line)) > 1 else line.split("=")[0] for line in lines
    ]


def value_of(line: str) -> str:
    """Return what a shell would put into the variable of a line."""
    (word,) = shlex.split(line)
    return word.partition("=")[2]


def test_instance_without_a_role_gets_one_of_its_own() -> None:
    setup = role_setup(HERE, DOCUMENT, bound="")
    assert actions(setup.lines) == [
        "POLICY",
        "CreatePolicy",
        "TRUST",
        "CreateRole",
        "AttachPolicyToRole",
        "AttachInstanceRamRole",
    ]
    assert json.loads(value_of(setup.lines[0])) == DOCUMENT
    assert json.loads(value_of(setup.lines[2])) == trust_policy()
    assert (setup.policy, setup.role) == (f"snap-self-{ME}",) * 2
    assert shlex.split(setup.lines[-1])[-2:] == ["--InstanceIds", json.dumps([ME])]
    assert len(setup.console) == 4


def test_instance_with_a_role_keeps_it_since_it_can_have_but_one() -> None:
    setup = role_setup(HERE, DOCUMENT, bound="Its.Role")
    assert actions(setup.lines) == ["POLICY", "CreatePolicy", "AttachPolicyToRole"]
    assert setup.lines[-1].endswith("--RoleName Its.Role")
    assert setup.role == "Its.Role"
    assert len(setup.console) == 2


def test_policy_that_is_there_gets_a_new_version_with_the_same_text() -> None:
    setup = role_setup(HERE, DOCUMENT, bound="")
    words = shlex.split(setup.update)
    assert words[:3] == ["aliyun", "ram", "CreatePolicyVersion"]
    assert '--PolicyDocument "$POLICY"' in setup.update
    assert words[words.index("--PolicyName") + 1] == setup.policy


def test_name_of_a_role_is_never_longer_than_the_cloud_takes() -> None:
    long = Holder(region="cn-x", account="42", instance_id=f"i-{'x' * 60}")
    assert len(role_setup(long, DOCUMENT, bound="").role) <= MAX_ROLE_NAME


def test_fleet_member_and_its_disks_get_the_tag() -> None:
    tag = parse_fleet_tag("team=web")
    setup = fleet_setup(HERE, tag, fleet_policy(HERE, tag, [Policy.CREATE]), bound="")
    tagging = [shlex.split(line) for line in setup.lines if "TagResources" in line]
    assert [words[words.index("--ResourceType") + 1] for words in tagging] == ["instance", "disk"]
    assert [w for words in tagging for w in words if w.startswith("d-")] == ["d-1", "d-2"]
    assert all(words[-3::2] == ["team", "web"] for words in tagging)


def test_console_steps_of_a_fleet_give_the_tag_whether_a_role_is_bound_or_not() -> None:
    tag = parse_fleet_tag("team=web")
    document = fleet_policy(HERE, tag, [Policy.CREATE])
    for bound in ("", "Its.Role"):
        steps = fleet_setup(HERE, tag, document, bound=bound).console
        (tagging,) = [n for n, step in enumerate(steps) if "team=web" in step]
        binding = [n for n, step in enumerate(steps) if "Attach/Detach RAM Role" in step]
        assert bool(binding) is not bool(bound)
        assert all(tagging < n for n in binding)


def test_session_is_bound_with_the_role_and_the_role_bound_now_goes_first() -> None:
    document = session_policy(HERE, [Policy.CREATE])
    fresh = session_setup(HERE, document, bound="")
    anew = session_setup(HERE, document, bound="fleet")
    assert actions(fresh.lines) == ["POLICY", "AttachInstanceRamRole"]
    assert actions(anew.lines) == ["POLICY", "DetachInstanceRamRole", "AttachInstanceRamRole"]
    assert anew.lines[-1].endswith(' --Policy "$POLICY"')
    assert value_of(anew.lines[0]) == as_sent(document)
