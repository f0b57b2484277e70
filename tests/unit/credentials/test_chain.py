"""Which source the chain uses, which it passes over, and where it stops."""

import json
from datetime import timedelta

import pytest

from fakes.clock import START
from fakes.http import FakeTransport, answer, nobody
from fakes.instance import (
    ROLE_LISTING,
    SECRET,
    MetadataService,
    client,
    role_answer,
    surroundings,
)
from snap_self.cloud.credentials import instance_role
from snap_self.cloud.credentials.chain import SOURCES, default_provider
from snap_self.cloud.credentials.provider import Chain
from snap_self.cloud.credentials.sources import Offer, Surroundings, masked
from snap_self.errors import CredentialsUnusable, NoCredentials
from snap_self.model.snapshots import Credentials

KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIenvironment01",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
}
ROLE = {ROLE_LISTING: "SnapRole", f"{ROLE_LISTING}SnapRole": role_answer()}
CONFIG = "/home/u/.aliyun/config.json"
INI = "/home/u/.alibabacloud/credentials.ini"


def config(mode: str = "AK", **fields: object) -> str:
    profile = {
        "name": "default",
        "mode": mode,
        "access_key_id": "LTAIconfigfile001",
        "access_key_secret": SECRET,
        **fields,
    }
    return json.dumps({"current": "default", "profiles": [profile]})


def ini(section: str = "default") -> str:
    key = "access_key_id = LTAIinifile00001 # mine\naccess_key_secret = s # note"
    return f"[{section}]\ntype = access_key\n{key}\n"


def first(around: Surroundings) -> Credentials:
    return default_provider(around).get()


def trail(around: Surroundings) -> dict[str, str]:
    provider = default_provider(around)
    provider.get()
    return dict(provider.trail)


def test_chain_when_everything_is_set_up_then_the_environment_wins() -> None:
    around = surroundings(env=KEYS, files={CONFIG: config(), INI: ini()}, items=ROLE)
    assert first(around).access_key_id == "LTAIenvironment01"


def test_chain_when_only_files_and_role_then_the_cli_file_wins() -> None:
    around = surroundings(files={CONFIG: config(), INI: ini()}, items=ROLE)
    assert first(around).access_key_id == "LTAIconfigfile001"


def test_chain_when_ini_file_and_role_then_the_ini_file_wins() -> None:
    around = surroundings(files={INI: ini()}, items=ROLE)
    assert first(around).access_key_id == "LTAIinifile00001"


def test_chain_when_nothing_but_a_role_then_the_role_is_used() -> None:
    found = first(surroundings(items=ROLE))
    assert (found.access_key_id, found.source) == ("STS.abcdefgh1234", "instance role SnapRole")
    assert found.expires == START + timedelta(hours=6)


def test_chain_when_only_the_uri_is_set_then_it_is_used() -> None:
    around = surroundings(
        env={"ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1:1/keys"},
        transport=FakeTransport(lambda request: answer(role_answer())),
    )
    assert first(around).source == "ALIBABA_CLOUD_CREDENTIALS_URI"


def test_chain_when_nothing_is_set_up_then_tells_why_of_each_source() -> None:
    with pytest.raises(NoCredentials) as caught:
        first(surroundings())
    names = [line.partition(":")[0] for line in caught.value.details]
    assert names == [name for name, _ in SOURCES]


def test_chain_when_metadata_does_not_answer_then_goes_on_to_the_uri() -> None:
    around = surroundings(
        env={"ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1:1/keys"},
        transport=FakeTransport(lambda request: answer(role_answer())),
        metadata=client(FakeTransport(nobody)),
    )
    assert "does not answer" in trail(around)["instance role"]


def test_chain_when_a_source_fails_then_the_trail_says_so() -> None:
    chain = Chain(surroundings(files={CONFIG: "{"}), SOURCES)
    with pytest.raises(CredentialsUnusable) as caught:
        chain.first()
    assert chain.trail[-1][0] == "~/.aliyun/config.json"
    assert "failed" in chain.trail[-1][1]
    assert any(line.startswith("environment: not set") for line in caught.value.details)


@pytest.mark.parametrize("name", list(KEYS))
def test_environment_when_half_a_key_is_set_then_stops(name: str) -> None:
    with pytest.raises(CredentialsUnusable, match="is set but") as caught:
        first(surroundings(env={name: SECRET}, items=ROLE))
    assert SECRET not in repr(caught.value)


def test_environment_when_a_token_is_set_then_carries_it() -> None:
    found = first(surroundings(env={**KEYS, "ALIBABA_CLOUD_SECURITY_TOKEN": "tok"}))
    assert found.security_token == "tok"


def test_environment_when_a_key_has_blanks_inside_then_stops() -> None:
    env = {**KEYS, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": f"{SECRET} x"}
    with pytest.raises(CredentialsUnusable, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET holds"):
        first(surroundings(env=env))


def test_environment_when_only_an_old_spelling_is_set_then_mentions_it() -> None:
    around = surroundings(env={"ALICLOUD_ACCESS_KEY_ID": "LTAIold"}, items=ROLE)
    assert trail(around)["environment"] == "not set (ALICLOUD_ACCESS_KEY_ID is not read)"


def test_oidc_when_a_variable_lacks_then_is_passed_over_with_its_name() -> None:
    around = surroundings(env={"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r"}, items=ROLE)
    assert "ALIBABA_CLOUD_OIDC_TOKEN_FILE" in trail(around)["OIDC"]


@pytest.mark.parametrize(
    "switch", ["ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE"]
)
def test_cli_file_when_switched_off_then_is_not_even_read(switch: str) -> None:
    around = surroundings(env={switch: "TRUE"}, files={CONFIG: "{broken"}, items=ROLE)
    assert switch in trail(around)["~/.aliyun/config.json"]


def test_files_when_there_is_no_home_then_are_passed_over() -> None:
    around = surroundings(items=ROLE, home="")
    assert "no home directory" in trail(around)["~/.aliyun/config.json"]


def test_profile_when_only_the_ini_file_has_it_then_that_is_used() -> None:
    around = surroundings(
        env={"ALIBABA_CLOUD_PROFILE": "prod"}, files={CONFIG: config(), INI: ini("prod")}
    )
    assert first(around).access_key_id == "LTAIinifile00001"


def test_profile_when_no_file_has_it_then_stops_before_the_role() -> None:
    around = surroundings(env={"ALIBABA_CLOUD_PROFILE": "prod"}, items=ROLE)
    with pytest.raises(CredentialsUnusable, match="profile prod is in no credentials file"):
        first(around)


def test_profile_when_our_configuration_names_one_then_it_wins() -> None:
    around = surroundings(
        env={"ALIBABA_CLOUD_PROFILE": "other"}, files={INI: ini("mine")}, profile="mine"
    )
    assert first(around).access_key_id == "LTAIinifile00001"


@pytest.mark.parametrize(
    "variable", ["ALIBABA_CLOUD_CONFIG_FILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"]
)
def test_file_when_named_but_absent_then_stops(variable: str) -> None:
    with pytest.raises(CredentialsUnusable, match="does not exist"):
        first(surroundings(env={variable: "/etc/keys"}, items=ROLE))


def test_file_when_not_readable_then_stops() -> None:
    around = surroundings(files={CONFIG: PermissionError(13, "Permission denied")}, items=ROLE)
    with pytest.raises(CredentialsUnusable, match="Permission denied"):
        first(around)


@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o644, "read by other users"), (0o622, "changed by other users"), (0o600, "")],
)
def test_file_when_others_may_touch_it_then_the_trail_warns(mode: int, said: str) -> None:
    verdict = trail(surroundings(files={CONFIG: config()}, mode=mode))["~/.aliyun/config.json"]
    assert ("warning" in verdict) is bool(said)
    assert said in verdict


def test_trail_when_a_source_won_then_shows_four_characters_of_the_key() -> None:
    verdict = trail(surroundings(env=KEYS))["environment"]
    assert verdict == "keys: used, key …nt01"


@pytest.mark.parametrize(
    ("key", "shown"), [("", "…"), ("short", "…"), ("elevenchars", "…"), ("twelve-chars", "…hars")]
)
def test_masked_when_short_then_shows_nothing(key: str, shown: str) -> None:
    assert masked(key) == shown


def test_role_when_offered_then_is_renewed_a_quarter_of_an_hour_early() -> None:
    found = instance_role.look(surroundings(items=ROLE))
    assert isinstance(found, Offer)
    assert found.stale_margin_s == 900


def test_role_when_named_then_is_not_looked_up() -> None:
    service = MetadataService({f"{ROLE_LISTING}Named": role_answer()})
    around = surroundings(
        env={"ALIBABA_CLOUD_ECS_METADATA": "Named"}, metadata=client(FakeTransport(service))
    )
    assert first(around).source == "instance role Named"


def test_role_when_it_is_replaced_while_we_run_then_the_new_one_is_found() -> None:
    service = MetadataService(ROLE)
    provider = default_provider(surroundings(metadata=client(FakeTransport(service))))
    assert provider.get().source == "instance role SnapRole"
    service.items = {ROLE_LISTING: "Later", f"{ROLE_LISTING}Later": role_answer()}
    assert provider.get(force=True).source == "instance role Later"
    service.items = dict(ROLE)
    assert provider.get(force=True).source == "instance role SnapRole"


def test_role_when_it_is_replaced_between_listing_and_keys_then_the_new_one_is_found() -> None:
    service = MetadataService({ROLE_LISTING: "SnapRole"})
    found = instance_role.look(surroundings(metadata=client(FakeTransport(service))))
    assert isinstance(found, Offer)
    service.items = {ROLE_LISTING: "Later", f"{ROLE_LISTING}Later": role_answer()}
    assert found.load().source == "instance role Later"


def test_role_when_taken_away_while_we_run_then_the_error_says_so() -> None:
    service = MetadataService(ROLE)
    provider = default_provider(surroundings(metadata=client(FakeTransport(service))))
    provider.get()
    service.items = {}
    with pytest.raises(CredentialsUnusable, match="no RAM role is bound"):
        provider.get(force=True)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"Code": "AssumeRoleUnauthorized"}', "trust"),
        ('{"Code": "SomethingElse"}', "doctor"),
        (role_answer().replace("2026-", "tomorrow"), "doctor"),
        ("<html>", "doctor"),
        ("[]", "doctor"),
    ],
)
def test_role_when_its_answer_is_no_good_then_the_hint_says_what_to_do(
    text: str, hint: str
) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        first(surroundings(items={ROLE_LISTING: "SnapRole", f"{ROLE_LISTING}SnapRole": text}))
    assert hint in caught.value.hint


def test_role_when_named_but_not_bound_then_stops() -> None:
    with pytest.raises(CredentialsUnusable, match="no RAM role Other is bound"):
        first(surroundings(role="Other", items=ROLE))


@pytest.mark.parametrize("role", ["../user-data", "a/b", "a b", "x" * 65])
def test_role_when_its_name_cannot_be_one_then_stops(role: str) -> None:
    with pytest.raises(CredentialsUnusable, match="name of the instance role"):
        first(surroundings(role=role, items=ROLE))


def test_role_when_metadata_is_switched_off_then_is_passed_over() -> None:
    around = surroundings(env={"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, items=ROLE)
    with pytest.raises(NoCredentials, match="no credentials found"):
        first(around)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Code": "Failed"}, "answered Failed instead of Success"),
        ({"Code": 1}, "no readable code"),
        ({"AccessKeyId": ""}, "AccessKeyId is missing"),
        ({"AccessKeySecret": None}, "AccessKeySecret is missing"),
        ({"SecurityToken": [SECRET]}, "SecurityToken is not"),
        ({"Expiration": "tomorrow"}, "Expiration is not"),
        ({"Expiration": "2020-01-01T00:00:00Z"}, "ran out at 2020-01-01"),
    ],
)
def test_role_when_the_answer_is_wrong_then_names_the_field(
    change: dict[str, object], said: str
) -> None:
    text = json.dumps({**json.loads(role_answer()), **change})
    items = {ROLE_LISTING: "SnapRole", f"{ROLE_LISTING}SnapRole": text}
    with pytest.raises(CredentialsUnusable, match=said) as caught:
        first(surroundings(items=items))
    assert SECRET not in f"{caught.value!r}{caught.value.details}"


def test_surroundings_when_shown_then_hold_no_variable() -> None:
    assert SECRET not in repr(surroundings(env=KEYS))
    assert SECRET not in repr(first(surroundings(env=KEYS)))
