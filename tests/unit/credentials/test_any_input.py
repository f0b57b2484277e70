"""Whatever files and services hold: only our errors come out, and never a secret."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.http import FakeTransport, answer
from fakes.instance import ROLE_LISTING, FakeCommands, surroundings
from snap_self.cloud.credentials import cli_modes
from snap_self.cloud.credentials.chain import default_provider
from snap_self.cloud.credentials.sources import Surroundings
from snap_self.errors import SnapSelfError

MARK = "PlantedSecret0x7f"
CONFIG = "/home/u/.aliyun/config.json"
INI = "/home/u/.alibabacloud/credentials.ini"
MODES = tuple(cli_modes.NAMES) + cli_modes.REFUSED
KEYS = tuple(
    """
    name mode access_key_id access_key_secret sts_token ram_role_arn ram_session_name policy
    expired_seconds external_id sts_region enable_vpc ram_role_name source_profile
    process_command credentials_uri oidc_token_file oidc_provider_arn profiles current
    AccessKeyId AccessKeySecret SecurityToken Expiration Code Credentials expiration
    """.split()  # noqa: SIM905
)
# Fields that never hold anything secret, and whose text a message may show.
OPEN_KEYS = ("name", "current", "ram_role_name", "source_profile", "mode", "profiles")
SECRET_KEYS = tuple(key for key in KEYS if key not in OPEN_KEYS)

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(MODES)
marked = st.tuples(st.text(max_size=6), st.text(max_size=6)).map(lambda t: f"{t[0]}{MARK}{t[1]}")
values = st.recursive(
    leaves,
    lambda i: st.lists(i, max_size=3) | st.dictionaries(st.sampled_from(KEYS), i, max_size=6),
)
secret_fields = st.dictionaries(st.sampled_from(SECRET_KEYS), marked | leaves, min_size=1)
texts = st.text() | values.map(json.dumps)

PLACES: dict[str, Callable[[str], Surroundings]] = {
    "config.json": lambda text: surroundings(files={CONFIG: text}),
    "ini": lambda text: surroundings(files={INI: text}),
    "role": lambda text: surroundings(items={ROLE_LISTING: "Role", f"{ROLE_LISTING}Role": text}),
    "role name": lambda text: surroundings(items={ROLE_LISTING: text}),
    "uri": lambda text: surroundings(
        env={"ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1/"},
        transport=FakeTransport(lambda request: answer(text)),
    ),
    "program": lambda text: surroundings(
        files={CONFIG: profile({"mode": "External", "process_command": "p"})},
        commands=FakeCommands(lambda argv: (0, text, text)),
    ),
    "sts answer": lambda text: sts_answering(text, 200),
    "sts refusal": lambda text: sts_answering(text, 400),
    "oidc token": lambda text: surroundings(
        env={
            "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r",
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "p",
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
        },
        files={"/token": text},
    ),
}


def profile(fields: dict[str, Any]) -> str:
    return json.dumps({"current": "default", "profiles": [{"name": "default", **fields}]})


def sts_answering(text: str, status: int) -> Surroundings:
    role = {
        "mode": "RamRoleArn",
        "access_key_id": "k",
        "access_key_secret": MARK,
        "ram_role_arn": "acs:ram::1:role/r",
    }
    return surroundings(
        files={CONFIG: profile(role)},
        transport=FakeTransport(lambda request: answer(text, status=status)),
    )


def everything_said(around: Surroundings) -> str:
    """Return all that a run can show of the chain: errors, trail, source, representations."""
    provider = default_provider(around)
    said = [repr(around), str(around)]
    try:
        said += [repr(provider.get()), provider.source]
    except SnapSelfError as error:
        said += [repr(error), str(error), error.message, error.hint, *error.details]
        said += [repr(error.__cause__)]
    return "\n".join([*said, repr(provider.trail)])


@pytest.mark.parametrize("place", list(PLACES))
@given(text=texts)
def test_chain_when_a_source_holds_anything_then_only_our_errors(place: str, text: str) -> None:
    everything_said(PLACES[place](text))


@pytest.mark.parametrize("place", [place for place in PLACES if place != "role name"])
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_chain_when_a_source_is_garbage_then_shows_none_of_it(
    place: str, before: str, after: str
) -> None:
    assert MARK not in everything_said(PLACES[place](f"{before}{MARK}{after}"))


@pytest.mark.parametrize("place", ["role", "uri", "program", "sts answer", "sts refusal"])
@given(fields=secret_fields)
def test_chain_when_an_answer_holds_secrets_then_shows_none(
    place: str, fields: dict[str, Any]
) -> None:
    text = json.dumps({**fields, "Credentials": fields})
    assert MARK not in everything_said(PLACES[place](text))


@given(mode=st.sampled_from(MODES), fields=secret_fields)
def test_chain_when_a_profile_holds_secrets_then_shows_none(
    mode: str, fields: dict[str, Any]
) -> None:
    fields.pop("oidc_token_file", None)  # a path, which messages name
    files: dict[str, str | OSError] = {CONFIG: profile({**fields, "mode": mode})}
    assert MARK not in everything_said(surroundings(files=files))


@given(lines=st.lists(st.tuples(st.sampled_from(KEYS), marked | st.text(max_size=9)), max_size=6))
def test_chain_when_an_ini_file_holds_secrets_then_shows_none(
    lines: list[tuple[str, str]],
) -> None:
    body = "\n".join(f"{key} = {value}" for key, value in lines if key != "name")
    kind = "type = access_key\n"
    assert MARK not in everything_said(surroundings(files={INI: f"[default]\n{kind}{body}"}))


@given(env=st.dictionaries(st.sampled_from(["ID", "SECRET"]), marked | st.text(max_size=5)))
def test_chain_when_variables_hold_secrets_then_shows_none(env: dict[str, str]) -> None:
    named = {f"ALIBABA_CLOUD_ACCESS_KEY_{key}": value for key, value in env.items()}
    assert MARK not in everything_said(surroundings(env=named))


def test_chain_when_json_is_nested_without_end_then_only_our_error() -> None:
    everything_said(PLACES["config.json"]("[" * 200_000))


def test_chain_when_a_number_is_huge_then_only_our_error() -> None:
    everything_said(PLACES["config.json"]('{"profiles": ' + "9" * 10_000 + "}"))
