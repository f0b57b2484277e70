"""An option adds to the configuration, and what was typed is known from what was configured."""

from __future__ import annotations

from dataclasses import fields

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.cli.options import JOB_OPTIONS, ON_SNAPSHOT_FAILURE, TypedValue
from snap_self.cli.requesting import chosen, make_request
from snap_self.config.keys import BY_DOTTED
from snap_self.config.load import default_config, load_config
from snap_self.errors import UsageError
from snap_self.model.command import OnSnapshotFailure
from snap_self.model.disks import Selection
from snap_self.model.request import Request
from snap_self.model.snapshots import WaitFor


def typed(**given: TypedValue) -> dict[str, TypedValue]:
    """Return what the parser hands over: every option, most of them not given."""
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    nothing: dict[str, TypedValue] = dict.fromkeys(option.name for option in JOB_OPTIONS)
    return {**nothing, "--before": "x", **named}


def test_every_option_has_a_place_where_its_value_goes() -> None:
    places = {field.name for kind in (Request, Selection) for field in fields(kind)}
    nowhere = [
        o.name for o in JOB_OPTIONS if o.field not in places and o is not ON_SNAPSHOT_FAILURE
    ]
    assert nowhere == []
    assert [o.name for o in JOB_OPTIONS if o.key and o.key not in BY_DOTTED] == []
    named = [option.name for option in JOB_OPTIONS]
    assert len(set(named)) == len(named)
    filled = [option.field for option in JOB_OPTIONS if option.field]
    assert len(set(filled)) == len(filled)


def test_request_without_options_is_the_configurations() -> None:
    text = '[snapshot]\nkeep = "36h"\nwait = "cut"\n'
    config = load_config(FakeConfigFiles({"config.toml": text}).sources())
    request = make_request({"--before": "x"}, config)
    assert (request.keep_s, request.keep_days, request.wait) == (36 * 3600, 2, WaitFor.CUT)


def test_request_of_the_defaults_is_the_default_request() -> None:
    assert make_request(typed(), default_config()) == Request(before="x")


def test_options_go_where_they_belong() -> None:
    given = typed(
        path=["/srv"],
        disk=["vdb"],
        wait="none",
        keep="forever",
        description="why",
        spread="1m",
        waited_for=True,
        tag=["a=b"],
    )
    assert make_request(given, default_config()) == Request(
        before="x",
        selection=Selection(paths=("/srv",), disks=("vdb",)),
        wait=WaitFor.NONE,
        keep_s=None,
        description="why",
        spread_s=60,
        waited_for=True,
        tags={"a": "b"},
    )


@pytest.mark.parametrize("option", ["path", "disk", "exclude"])
def test_disk_without_a_name_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} is empty"):
        make_request(typed(**{option: ["vdb", " "]}), default_config())


def test_empty_text_counts_as_given() -> None:
    config = load_config(FakeConfigFiles({"config.toml": '[snapshot]\nname = "mine"\n'}).sources())
    assert make_request(typed(), config).name == "mine"
    assert make_request(typed(name=""), config).name == ""


def test_what_becomes_of_the_command_is_chosen_like_the_rest() -> None:
    config = load_config(
        FakeConfigFiles({"config.toml": '[run]\non_snapshot_failure = "run"\n'}).sources()
    )
    assert chosen(ON_SNAPSHOT_FAILURE, typed(), config) is OnSnapshotFailure.RUN
    given = typed(on_snapshot_failure="stop")
    assert chosen(ON_SNAPSHOT_FAILURE, given, config) is OnSnapshotFailure.STOP


def test_exclusions_of_the_configuration_are_marked_unless_typed_too() -> None:
    text = '[disks]\nexclude = ["/scratch", "vdb"]\n'
    config = load_config(FakeConfigFiles({"config.toml": text}).sources())
    selection = make_request(typed(exclude=("vdb", "/tmp")), config).selection
    assert set(selection.exclude) == {"/scratch", "vdb", "/tmp"}
    assert selection.origin_of("/scratch") == "disks.exclude"
    assert selection.origin_of("vdb") == selection.origin_of("/tmp") == "--exclude"


def test_change_that_must_be_confirmed_keeps_its_time_and_check() -> None:
    given = typed(confirm_within="30m", check="curl -f localhost")
    request = make_request(given, default_config())
    assert (request.confirm_within_s, request.check) == (1800, "curl -f localhost")


@pytest.mark.parametrize("within", ["30s", "5h", "soon", "0s"])
def test_time_that_the_cloud_may_not_wait_is_refused(within: str) -> None:
    with pytest.raises(UsageError, match="--confirm-within"):
        make_request(typed(confirm_within=within), default_config())


def test_check_that_confirms_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--check confirms nothing"):
        make_request(typed(check="true"), default_config())


@pytest.mark.parametrize("wait", ["none", "cut"])
def test_what_is_gone_back_to_must_be_usable(wait: str) -> None:
    with pytest.raises(UsageError, match=f"--wait {wait}"):
        make_request(typed(confirm_within="30m", wait=wait), default_config())
