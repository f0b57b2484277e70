"""Every mode of the CLI's file and every type of the SDKs' file."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from urllib.parse import parse_qsl

import pytest

from fakes.http import FakeTransport, answer, json_answer
from fakes.instance import (
    ROLE_LISTING,
    SECRET,
    TOKEN_MARK,
    FakeCommands,
    role_answer,
    role_keys,
    surroundings,
)
from snap_self.cloud.credentials import cli_config, ini_file
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings
from snap_self.errors import CredentialsUnusable
from snap_self.model.snapshots import Credentials
from snap_self.model.trust import Distrust, Distrusted, PathHop, PathKind

CONFIG = "/home/u/.aliyun/config.json"
INI = "/home/u/.alibabacloud/credentials.ini"
ARN = "acs:ram::123456:role/SnapMaker"
KEY = {"access_key_id": "LTAIconfigfile001", "access_key_secret": SECRET}
ROLE = {
    ROLE_LISTING: "SnapRole",
    f"{ROLE_LISTING}SnapRole": role_answer(),
    f"{ROLE_LISTING}Named": role_answer(key_id="STS.namednamed01"),
}


def config(*profiles: dict[str, object], current: str = "default") -> dict[str, str | OSError]:
    named = [{"name": "default", **profile} for profile in profiles]
    return {CONFIG: json.dumps({"current": current, "profiles": named})}


def sts() -> FakeTransport:
    return FakeTransport(lambda request: json_answer({"Credentials": role_keys()}))


def offered(found: Offer | Skipped) -> Offer:
    assert isinstance(found, Offer)
    return found


def cli(around: Surroundings) -> Credentials:
    return offered(cli_config.look(around)).load()


def ini(around: Surroundings) -> Credentials:
    return offered(ini_file.look(around)).load()


def sent(transport: FakeTransport, index: int = 0) -> dict[str, str]:
    request = transport.requests[index]
    return dict(parse_qsl(request.url.partition("?")[2]) + parse_qsl(request.body.decode()))


@pytest.mark.parametrize("mode", ["AK", "ak"])
def test_cli_when_mode_ak_then_reads_the_pair(mode: str) -> None:
    found = cli(surroundings(files=config({"mode": mode, **KEY})))
    assert (found.access_key_id, found.access_key_secret) == ("LTAIconfigfile001", SECRET)
    assert (found.security_token, found.expires) == ("", None)
    assert found.source == "config.json profile default"


def test_cli_when_mode_sts_token_then_reads_the_token_too() -> None:
    around = surroundings(files=config({"mode": "StsToken", **KEY, "sts_token": "tok"}))
    assert cli(around).security_token == "tok"


def test_cli_when_mode_sts_token_lacks_the_token_then_names_it() -> None:
    with pytest.raises(CredentialsUnusable, match="sts_token is missing"):
        cli(surroundings(files=config({"mode": "StsToken", **KEY})))


def test_cli_when_mode_ecs_ram_role_names_a_role_then_reads_that_one() -> None:
    files = config({"mode": "EcsRamRole", "ram_role_name": "Named"})
    assert cli(surroundings(files=files, items=ROLE)).access_key_id == "STS.namednamed01"


def test_cli_when_mode_ecs_ram_role_names_none_then_finds_the_bound_one() -> None:
    files = config({"mode": "EcsRamRole", "ram_role_name": ""})
    assert cli(surroundings(files=files, items=ROLE)).access_key_id == "STS.abcdefgh1234"


def test_cli_when_mode_ecs_ram_role_then_renews_early() -> None:
    files = config({"mode": "EcsRamRole"})
    assert offered(cli_config.look(surroundings(files=files))).stale_margin_s == 900


def test_cli_when_mode_ecs_ram_role_but_metadata_off_then_stops() -> None:
    around = surroundings(
        env={"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, files=config({"mode": "EcsRamRole"})
    )
    with pytest.raises(CredentialsUnusable, match="switches it off"):
        cli(around)


def test_cli_when_mode_ram_role_arn_then_assumes_the_role() -> None:
    transport = sts()
    files = config(
        {
            "mode": "RamRoleArn",
            **KEY,
            "ram_role_arn": ARN,
            "ram_session_name": "night",
            "expired_seconds": 1800,
            "policy": '{\n"Version": "1"}',
            "external_id": "ext",
            "sts_region": "cn-beijing",
            "enable_vpc": True,
        }
    )
    found = cli(surroundings(files=files, transport=transport))
    asked = sent(transport)
    assert found.security_token == TOKEN_MARK
    assert transport.requests[0].url.startswith("https://sts-vpc.cn-beijing.aliyuncs.com/?")
    assert (asked["Action"], asked["RoleArn"], asked["AccessKeyId"]) == (
        "AssumeRole",
        ARN,
        "LTAIconfigfile001",
    )
    assert (asked["RoleSessionName"], asked["DurationSeconds"]) == ("night", "1800")
    assert (asked["Policy"], asked["ExternalId"]) == ('{\n"Version": "1"}', "ext")


def test_cli_when_mode_ram_role_arn_with_role_name_then_starts_from_the_instance_role() -> None:
    transport = sts()
    files = config(
        {"mode": "RamRoleArnWithRoleName", "ram_role_name": "Named", "ram_role_arn": ARN}
    )
    cli(surroundings(files=files, items=ROLE, transport=transport))
    assert sent(transport)["AccessKeyId"] == "STS.namednamed01"
    assert sent(transport)["SecurityToken"] == TOKEN_MARK


def test_cli_when_mode_chainable_then_follows_the_source_profile() -> None:
    transport = sts()
    files = config(
        {"mode": "ChainableRamRoleArn", "source_profile": "base", "ram_role_arn": ARN},
        {"name": "base", "mode": "EcsRamRole", "ram_role_name": "Named"},
    )
    found = cli(surroundings(files=files, items=ROLE, transport=transport))
    assert sent(transport)["AccessKeyId"] == "STS.namednamed01"
    assert found.source == "config.json profile default"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            {"name": "base", "mode": "ChainableRamRoleArn", "source_profile": "default"},
            "leads back to itself",
        ),
        ({"name": "other", "mode": "AK"}, "names no profile"),
        ({"name": "base", "mode": "CloudSSO"}, "CloudSSO is not supported"),
    ],
)
def test_cli_when_the_source_profile_is_unusable_then_says_how(
    second: dict[str, object], said: str
) -> None:
    files = config(
        {"mode": "ChainableRamRoleArn", "source_profile": "base", "ram_role_arn": ARN}, second
    )
    with pytest.raises(CredentialsUnusable, match=said):
        cli(surroundings(files=files))


def test_cli_when_mode_oidc_then_sends_the_token_unsigned() -> None:
    transport = sts()
    profile: dict[str, object] = {
        "mode": "OIDC",
        "ram_role_arn": ARN,
        "oidc_provider_arn": "acs:ram::1:oidc-provider/p",
        "oidc_token_file": "/token",
    }
    cli(surroundings(files={**config(profile), "/token": "eyJtoken\n"}, transport=transport))
    asked = sent(transport)
    assert (asked["Action"], asked["OIDCToken"]) == ("AssumeRoleWithOIDC", "eyJtoken")
    assert "Signature" not in asked
    assert "eyJtoken" not in transport.requests[0].url


def test_cli_when_the_oidc_token_file_is_absent_then_names_it() -> None:
    profile: dict[str, object] = {
        "mode": "OIDC",
        "ram_role_arn": ARN,
        "oidc_provider_arn": "p",
        "oidc_token_file": "/token",
    }
    with pytest.raises(CredentialsUnusable, match="/token cannot be read"):
        cli(surroundings(files=config(profile)))


def external(out: str, status: int = 0) -> FakeCommands:
    def result(argv: Sequence[str]) -> tuple[int, str, str]:
        return status, out, SECRET

    return FakeCommands(result)


def external_files(command: str = "get-keys --for 'the agent'") -> dict[str, str | OSError]:
    return config({"mode": "External", "process_command": command})


def test_cli_when_mode_external_then_runs_the_program_without_a_shell() -> None:
    printed = {**KEY, "mode": "StsToken", "sts_token": "t", "expiration": "2027-01-01T00:00:00Z"}
    commands = external(json.dumps(printed))
    found = cli(surroundings(files=external_files(), commands=commands))
    assert commands.ran == [("get-keys", "--for", "the agent")]
    assert found.security_token == "t"
    assert found.expires == datetime(2027, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("out", "status", "said"),
    [
        (SECRET, 0, "not JSON"),
        (json.dumps({"mode": "EcsRamRole", "ram_role_name": SECRET}), 0, "unknown mode"),
        (json.dumps({**KEY, "mode": "StsToken"}), 0, "sts_token is missing"),
        (SECRET, 3, "failed with status 3"),
    ],
)
def test_cli_when_the_program_gives_no_keys_then_shows_nothing_of_it(
    out: str, status: int, said: str
) -> None:
    with pytest.raises(CredentialsUnusable, match=said) as caught:
        cli(surroundings(files=external_files(), commands=external(out, status)))
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [("a 'b", "unclosed quote"), (" ", "missing or empty"), ("nothing", "No such file")],
)
def test_cli_when_the_program_cannot_be_run_then_says_why(command: str, said: str) -> None:
    with pytest.raises(CredentialsUnusable, match=said):
        cli(surroundings(files=external_files(command)))


def test_cli_when_the_program_takes_too_long_then_says_so() -> None:
    def slow(argv: Sequence[str]) -> tuple[int, str, str]:
        raise TimeoutError(f"{argv[0]} did not end")

    with pytest.raises(CredentialsUnusable, match="no end within 60 s"):
        cli(surroundings(files=external_files(), commands=FakeCommands(slow)))


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
@pytest.mark.parametrize(
    "profile",
    [
        {"mode": "External", "process_command": "x"},
        {"mode": "CredentialsURI", "credentials_uri": "http://127.0.0.1/"},
    ],
    ids=["External", "CredentialsURI"],
)
def test_cli_when_programs_are_forbidden_then_stops(profile: dict[str, object], value: str) -> None:
    env = {"ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS": value}
    with pytest.raises(CredentialsUnusable, match=f"forbids mode {profile['mode']}"):
        cli(surroundings(env=env, files=config(profile)))


def test_cli_when_mode_credentials_uri_then_asks_it() -> None:
    files = config({"mode": "CredentialsURI", "credentials_uri": "http://127.0.0.1:7/k?t=1"})
    transport = FakeTransport(lambda request: answer(role_answer()))
    assert cli(surroundings(files=files, transport=transport)).access_key_id == "STS.abcdefgh1234"
    assert transport.requests[0].url == "http://127.0.0.1:7/k?t=1"


@pytest.mark.parametrize("mode", ["CloudSSO", "OAuth", "BearerToken", "Anonymous", "RsaKeyPair"])
def test_cli_when_the_mode_is_not_supported_then_names_it_and_those_that_are(mode: str) -> None:
    with pytest.raises(CredentialsUnusable, match=f"mode {mode} is not supported") as caught:
        cli(surroundings(files=config({"mode": mode})))
    assert "EcsRamRole" in caught.value.hint


def test_cli_when_the_mode_is_unknown_then_does_not_repeat_it() -> None:
    with pytest.raises(CredentialsUnusable, match="mode unknown is not supported") as caught:
        cli(surroundings(files=config({"mode": SECRET})))
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expired_seconds": 60}, "900 to 43200"),
        ({"expired_seconds": "soon"}, "expired_seconds is not a whole number"),
        ({"expired_seconds": True}, "expired_seconds is not a whole number"),
        ({"ram_session_name": "a b"}, "session name"),
        ({"sts_region": "nowhere.example/"}, "not a region"),
        ({"enable_vpc": "yes"}, "enable_vpc is neither"),
        ({"ram_role_arn": ""}, "ram_role_arn is missing"),
        ({"policy": 5}, "policy is not text"),
    ],
)
def test_cli_when_a_role_field_is_wrong_then_nothing_is_asked(
    change: dict[str, object], said: str
) -> None:
    transport = sts()
    files = config({"mode": "RamRoleArn", **KEY, "ram_role_arn": ARN, **change})
    with pytest.raises(CredentialsUnusable, match=said):
        cli(surroundings(files=files, transport=transport))
    assert transport.requests == []


@pytest.mark.parametrize("seconds", [0, "0", "3600", 3600])
def test_cli_when_the_duration_is_unset_or_text_then_is_an_hour(seconds: object) -> None:
    transport = sts()
    files = config({"mode": "RamRoleArn", **KEY, "ram_role_arn": ARN, "expired_seconds": seconds})
    cli(surroundings(files=files, transport=transport))
    assert sent(transport)["DurationSeconds"] == "3600"


@pytest.mark.parametrize("mode", ["AK", "", "StsToken"])
def test_cli_when_the_profile_was_never_filled_in_then_is_passed_over(mode: str) -> None:
    files = config({"mode": mode, "access_key_id": "", "access_key_secret": ""})
    found = cli_config.look(surroundings(files=files))
    assert found == Skipped(why="profile default has not been filled in")


def test_cli_when_the_blank_profile_was_asked_for_then_stops() -> None:
    around = surroundings(files=config({"mode": "AK"}), profile="default")
    with pytest.raises(CredentialsUnusable, match="access_key_id is missing"):
        cli(around)


@pytest.mark.parametrize("text", ["{}", '{"profiles": null}', '{"profiles": []}'])
def test_cli_when_the_file_has_no_profiles_then_is_passed_over(text: str) -> None:
    assert isinstance(cli_config.look(surroundings(files={CONFIG: text})), Skipped)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"profiles": {}}', "profiles is not a list"),
        ('{"profiles": ["x"]}', r"profiles\[0\] is not"),
        ('{"profiles": [{"name": 1}]}', "name is not"),
        ('{"current": "b", "profiles": [{"name": "a"}]}', "current names no profile"),
    ],
)
def test_cli_when_the_file_is_malformed_then_names_the_place(text: str, said: str) -> None:
    with pytest.raises(CredentialsUnusable, match=said):
        cli_config.look(surroundings(files={CONFIG: text}))


def test_cli_when_two_profiles_share_a_name_then_the_first_counts() -> None:
    files = config({"mode": "AK", **KEY}, {"mode": "CloudSSO"})
    assert cli(surroundings(files=files)).access_key_id == "LTAIconfigfile001"


def test_cli_when_the_file_begins_with_a_byte_order_mark_then_is_read() -> None:
    text = config({"mode": "AK", **KEY})[CONFIG]
    assert cli(surroundings(files={CONFIG: f"\ufeff{text}"})).access_key_secret == SECRET


def test_cli_when_keys_in_the_file_change_then_the_next_load_sees_it() -> None:
    around = surroundings(files=config({"mode": "AK", **KEY}))
    offer = offered(cli_config.look(around))
    around.read.files.update(  # type: ignore[attr-defined]
        config({"mode": "AK", **KEY, "access_key_id": "LTAIrotated00001"})
    )
    assert offer.load().access_key_id == "LTAIrotated00001"


@pytest.mark.parametrize("name", ["credentials.ini", "credentials"])
def test_ini_when_either_file_exists_then_is_read(name: str) -> None:
    text = f"[default]\ntype=access_key\naccess_key_id=LTAIini1\naccess_key_secret={SECRET}\n"
    found = ini(surroundings(files={f"/home/u/.alibabacloud/{name}": text}))
    assert (found.access_key_id, found.access_key_secret) == ("LTAIini1", SECRET)


def test_ini_when_a_value_has_a_hash_then_it_ends_there() -> None:
    text = "[default]\ntype = access_key # kind\naccess_key_id=a#b\naccess_key_secret = c # d\n"
    found = ini(surroundings(files={INI: text}))
    assert (found.access_key_id, found.access_key_secret) == ("a", "c")


def test_ini_when_a_value_has_a_percent_sign_then_is_kept() -> None:
    text = "[default]\ntype=access_key\naccess_key_id=a\naccess_key_secret=50%off%(x)s\n"
    assert ini(surroundings(files={INI: text})).access_key_secret == "50%off%(x)s"


def test_ini_when_type_ram_role_arn_then_assumes_the_role() -> None:
    transport = sts()
    text = (
        "[default]\ntype=ram_role_arn\naccess_key_id=LTAIini1\naccess_key_secret=s\n"
        f"role_arn={ARN}\nrole_session_name=night\npolicy={{}}\n"
    )
    ini(surroundings(files={INI: text}, transport=transport))
    asked = sent(transport)
    assert (asked["AccessKeyId"], asked["RoleArn"]) == ("LTAIini1", ARN)
    assert (asked["RoleSessionName"], asked["Policy"]) == ("night", "{}")


def test_ini_when_type_oidc_role_arn_then_reads_the_token_file() -> None:
    transport = sts()
    text = (
        f"[default]\ntype=oidc_role_arn\nrole_arn={ARN}\noidc_provider_arn=p\n"
        "oidc_token_file_path=/token\n"
    )
    ini(surroundings(files={INI: text, "/token": "eyJ"}, transport=transport))
    assert sent(transport)["OIDCToken"] == "eyJ"


def test_ini_when_type_ecs_ram_role_then_reads_metadata() -> None:
    text = "[default]\ntype=ecs_ram_role\nrole_name=Named\n"
    found = ini(surroundings(files={INI: text}, items=ROLE))
    assert found.access_key_id == "STS.namednamed01"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default]\ntype=rsa_key_pair\n", "type rsa_key_pair is not supported"),
        (f"[default]\ntype={SECRET}\n", "type unknown is not supported"),
        ("[default]\nx=1\n", "type unknown is not supported"),
        (f"{SECRET}\n", "not an ini file"),
        (f"[default]\nx=1\nx={SECRET}\n", "not an ini file"),
    ],
)
def test_ini_when_malformed_or_unsupported_then_stops_without_quoting(text: str, said: str) -> None:
    with pytest.raises(CredentialsUnusable, match=said) as caught:
        ini_file.look(surroundings(files={INI: text}))
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_ini_when_the_section_is_absent_then_is_passed_over() -> None:
    found = ini_file.look(surroundings(files={INI: "[other]\ntype=access_key\n"}))
    assert found == Skipped(why="the profile is not in it")


def distrusted(path: str, owner: int = 65534) -> Distrusted:
    hop = PathHop(path=path, kind=PathKind.FILE, mode=0o600, owner=owner)
    return Distrusted(Distrust(hop=hop, why=f"{path} is a stranger's", hint=f"chown root {path}"))


@pytest.mark.parametrize(("look", "path"), [(cli_config.look, CONFIG), (ini_file.look, INI)])
def test_file_when_others_could_have_written_it_then_is_not_used(
    look: Callable[[Surroundings], object], path: str
) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        look(surroundings(files={path: distrusted(path)}))
    assert caught.value.exit_status == 5
    assert caught.value.message == f"{path} is not used: {path} is a stranger's"
    assert f"chown root {path}" in caught.value.hint
    assert "HOME" not in caught.value.hint


@pytest.mark.parametrize("hop", ["/home/u", "/home"])
def test_file_when_the_home_is_anothers_then_home_is_named(hop: str) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        cli_config.look(surroundings(files={CONFIG: distrusted(hop)}))
    assert "HOME is /home/u, which is not root's own: `sudo -H`" in caught.value.hint


def test_file_when_named_by_a_variable_then_home_is_not_blamed() -> None:
    env = {"ALIBABA_CLOUD_CREDENTIALS_FILE": "/srv/keys"}
    with pytest.raises(CredentialsUnusable) as caught:
        ini_file.look(surroundings(env=env, files={"/srv/keys": distrusted("/srv")}))
    assert caught.value.hint == "Look at what it says, then: chown root /srv."


def test_oidc_token_when_others_could_have_written_it_then_is_not_sent() -> None:
    profile = {"mode": "OIDC", "oidc_provider_arn": "a", "oidc_token_file": "/t"}
    files = config({**profile, "ram_role_arn": ARN}) | {"/t": distrusted("/t")}
    transport = sts()
    with pytest.raises(CredentialsUnusable, match="/t is not used: /t is a stranger's"):
        cli(surroundings(files=files, transport=transport))
    assert transport.requests == []


def test_external_when_others_could_change_the_program_then_says_which() -> None:
    def refused(argv: Sequence[str]) -> tuple[int, str, str]:
        raise distrusted(argv[0])

    around = surroundings(files=external_files("/opt/keys"), commands=FakeCommands(refused))
    with pytest.raises(CredentialsUnusable, match="not run: /opt/keys is a stranger's") as caught:
        cli(around)
    assert "chown root /opt/keys" in caught.value.hint
