"""Files and environment into one configuration, and every fault at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.configfiles import FakeConfigFiles
from snap_self.config.keys import BY_ENV, KEYS
from snap_self.config.load import Loaded, default_config, load_config, load_usable
from snap_self.config.settings import Config
from snap_self.errors import ConfigError, ExitStatus
from snap_self.model.request import OnQuiesceFailure
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.model.trust import Distrust, PathHop, PathKind

MAIN = "/etc/snap-self/config.toml"


def load(
    main: str | bytes = "", env: dict[str, str] | None = None, **extra: str | bytes | OSError
) -> Config:
    files: dict[str, str | bytes | OSError] = {"config.toml": main}
    files |= {f"conf.d/{name.replace('_', '-')}.toml": text for name, text in extra.items()}
    return load_config(FakeConfigFiles(files).sources(env))


def refusal(
    main: str | bytes = "", env: dict[str, str] | None = None, **extra: str | bytes | OSError
) -> str:
    with pytest.raises(ConfigError) as caught:
        load(main, env, **extra)
    assert caught.value.exit_status is ExitStatus.CONFIG
    assert "config.example.toml" in caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("/data", ("/data",)),
        (" /data, vdc ,d-bp1aaaabbbbccccdddde", ("/data", "vdc", "d-bp1aaaabbbbccccdddde")),
        ('["/a, b", "/c"]', ("/a, b", "/c")),
        ("[]", ()),
    ],
)
def test_exclusions_of_the_environment_are_an_array_or_names_with_commas(
    value: str, names: tuple[str, ...]
) -> None:
    env = {"SNAP_SELF_DISKS_EXCLUDE": value}
    assert load('[disks]\nexclude = ["/x"]', env).disks.exclude == names


@pytest.mark.parametrize("value", ['["/a"', "[1]", "/a,,/b", '[""]'])
def test_exclusions_of_the_environment_that_are_none_are_refused(value: str) -> None:
    assert "SNAP_SELF_DISKS_EXCLUDE" in refusal(env={"SNAP_SELF_DISKS_EXCLUDE": value})


def test_no_file_and_no_variable_give_the_defaults() -> None:
    assert load_config(FakeConfigFiles().sources()) == default_config()


def test_defaults_are_those_of_the_manual() -> None:
    config = default_config()
    assert config.snapshot.consistency is Consistency.FLUSH
    assert config.snapshot.on_quiesce_failure is OnQuiesceFailure.CONTINUE
    assert config.snapshot.wait is WaitFor.AVAILABLE
    assert (config.snapshot.timeout_s, config.snapshot.keep_s) == (1800, 14 * 86400)
    assert (config.snapshot.reuse_s, config.state.resume_s) == (None, 600)
    assert config.state.dir == Path("/var/lib/snap-self")
    assert set(dataclasses.astuple(config.network)) == {""}


def test_file_sets_every_kind_of_value() -> None:
    config = load("""
        [snapshot]
        consistency = "crash"
        timeout = "90s"
        keep = "forever"
        reuse = "2h"
        name = "数据库"
        tags = { team = "db", "cost centre" = "" }
        [disks]
        exclude = ["/scratch", "vdc"]
        map."/dev/vdb" = "d-bp1a"
        [credentials]
        role = "snap-self"
        [network]
        ecs_endpoint = "https://ecs-vpc.cn-hangzhou.aliyuncs.com/"
        ca_bundle = "/etc/ca.pem"
        [state]
        resume = "0s"
    """)
    assert config.snapshot.consistency is Consistency.CRASH
    assert (config.snapshot.timeout_s, config.snapshot.keep_s) == (90, None)
    assert (config.snapshot.reuse_s, config.snapshot.name) == (7200, "数据库")
    assert config.snapshot.tags == {"team": "db", "cost centre": ""}
    assert config.disks.exclude == ("/scratch", "vdc")
    assert config.disks.map == {"/dev/vdb": "d-bp1a"}
    assert config.credentials.role == "snap-self"
    assert config.network.ecs_endpoint == "https://ecs-vpc.cn-hangzhou.aliyuncs.com"
    assert config.network.ca_bundle == "/etc/ca.pem"
    assert config.state.resume_s == 0


def test_later_file_wins_per_key_in_the_order_of_names() -> None:
    config = load(
        '[snapshot]\nkeep = "1d"\ntimeout = "1m"',
        a_20='[snapshot]\nkeep = "3d"',
        a_10='[snapshot]\nkeep = "2d"\nwait = "cut"',
    )
    assert (config.snapshot.keep_s, config.snapshot.timeout_s) == (3 * 86400, 60)
    assert config.snapshot.wait is WaitFor.CUT


def test_tables_of_several_files_are_joined() -> None:
    config = load(
        '[snapshot.tags]\nteam = "a"\nstage = "x"\n[disks.map]\nvdb = "d-1"',
        a='[snapshot.tags]\nTeam = "b"\n[disks.map]\nvdc = "d-2"',
    )
    assert config.snapshot.tags == {"stage": "x", "Team": "b"}
    assert config.disks.map == {"vdb": "d-1", "vdc": "d-2"}


def test_list_of_a_later_file_replaces_the_earlier_one() -> None:
    config = load('[disks]\nexclude = ["a"]', a='[disks]\nexclude = ["b"]')
    assert config.disks.exclude == ("b",)


def test_environment_wins_over_files() -> None:
    config = load('[snapshot]\nkeep = "1d"', {"SNAP_SELF_SNAPSHOT_KEEP": "2d"})
    assert config.snapshot.keep_s == 2 * 86400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNAP_SELF_METADATA_URL", "http://127.0.0.1:8080"),
        ("SNAP_SELF_NETWORK_METADATA_URL", "http://[::1]:8080"),
        ("SNAP_SELF_ECS_ENDPOINT", "http://127.0.0.1:1"),
        ("SNAP_SELF_STATE_DIR", "/tmp/state"),
        ("SNAP_SELF_NETWORK_CA_BUNDLE", "/tmp/ca.pem"),
    ],
)
def test_variable_sets_its_key(name: str, value: str) -> None:
    key = BY_ENV[name]
    settings = getattr(load(env={name: value}), key.section)
    assert str(getattr(settings, key.attribute)) == value


def test_every_key_of_one_value_has_a_variable() -> None:
    lacking = [key.dotted for key in KEYS if not key.env_names]
    tables = ["snapshot.tags", "disks.map"]
    lists = [f"package_managers.{name}" for name in ("enabled", "risky", "always", "never")]
    assert lacking == [*tables, "notify.command", "notify.on", *lists]


def test_empty_variable_counts_as_not_set() -> None:
    assert load(env={"SNAP_SELF_ECS_ENDPOINT": "", "SNAP_SELF_NONSENSE": ""}) == default_config()


def test_variables_read_elsewhere_are_passed_over() -> None:
    env = {"SNAP_SELF_SKIP": "1", "SNAP_SELF_TEST_RUN_DIR": "/x", "SNAP": "1", "PATH": "/bin"}
    assert load(env=env) == default_config()


def test_unknown_variable_is_a_fault_with_the_nearest_known() -> None:
    message = refusal(env={"SNAP_SELF_STATEDIR": "/secret"})
    assert message == (
        "environment: SNAP_SELF_STATEDIR is not known; did you mean SNAP_SELF_STATE_DIR?"
    )


def test_wrong_value_in_a_variable_names_the_variable() -> None:
    message = refusal(env={"SNAP_SELF_SNAPSHOT_WAIT": "ever"})
    assert message == (
        "environment: SNAP_SELF_SNAPSHOT_WAIT 'ever' is not known "
        "(one of none, cut, available, accomplished)"
    )


def test_two_variables_for_one_key_are_a_fault() -> None:
    env = {"SNAP_SELF_NETWORK_ECS_ENDPOINT": "https://a", "SNAP_SELF_ECS_ENDPOINT": "https://b"}
    assert "both set network.ecs_endpoint" in refusal(env=env)


def test_unknown_key_names_file_line_and_the_nearest_key() -> None:
    message = refusal('# x\n[snapshot]\n\nkeeep = "1d"')
    assert message == f"{MAIN}:4: snapshot.keeep is not known; did you mean keep?"


def test_unknown_key_unlike_any_lists_the_known_ones() -> None:
    message = refusal("[state]\nzzz = 1")
    assert message == f"{MAIN}:2: state.zzz is not known; known: dir, resume"


def test_unknown_section_names_file_line_and_the_nearest_section() -> None:
    message = refusal('[snapshots]\nkeep = "1d"')
    assert message == f"{MAIN}:1: [snapshots] is not known; did you mean snapshot?"


def test_section_that_is_no_table_is_a_fault() -> None:
    assert refusal("\nsnapshot = 1") == f"{MAIN}:2: snapshot is not a table"


def test_value_of_an_unknown_key_is_not_shown() -> None:
    message = refusal('[credentials]\naccess_key_secret = "hush"')
    assert "access_key_secret" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[snapshot]\nkeep = 14", 'snapshot.keep is a number (write a string such as "30m")'),
        ("[snapshot]\nkeep = true", "snapshot.keep is true or false"),
        ("[snapshot]\nkeep = 2026-11-22", "snapshot.keep is a date or time"),
        ('[snapshot]\nkeep = "0d"', "snapshot.keep '0d' is no time at all"),
        ('[snapshot]\nkeep = "3 weeks"', "or forever)"),
        ('[snapshot]\ntimeout = "forever"', "snapshot.timeout 'forever' is not a duration"),
        ('[snapshot]\nreuse = ""', "12h or 14d, or off)"),
        ('[snapshot]\nconsistency = "best"', "one of crash, flush, filesystem, application"),
        ("[snapshot]\nwait = []", "snapshot.wait is an array"),
        ('[snapshot]\nname = "auto1"', "snapshot.name: snapshot name 'auto1' begins with auto"),
        ("[snapshot]\ntags = []", "snapshot.tags is an array (write a table of strings)"),
        ("[snapshot]\ntags = { a = 1 }", "snapshot.tags['a'] is a number"),
        ('[snapshot]\ntags = { "snap-self-x" = "" }', "which is snap-self's"),
        ('[snapshot]\ntags = { a = "", A = "" }', "is there twice"),
        ('[disks]\nexclude = "vda"', "disks.exclude is a string (write an array of strings)"),
        ('[disks]\nexclude = ["vda", 1]', "disks.exclude[1] is a number"),
        ('[disks]\nexclude = [""]', "disks.exclude holds an empty string"),
        ('[disks]\nmap = { vda = "vol-1" }', "disks.map['vda'] 'vol-1' is no disk id"),
        ('[disks]\nmap = { "" = "d-1" }', "disks.map has an empty device name"),
        ('[credentials]\nrole = "acs:ram::1:role/x"', "is no role name"),
        ('[credentials]\nprofile = "a\\u001bb"', "holds a line break or a control character"),
        ('[network]\nca_bundle = "ca.pem"', "network.ca_bundle 'ca.pem' is not absolute"),
        ('[state]\ndir = ""', "state.dir '.' is not absolute"),
        ('[state]\nresume = "-1s"', "state.resume '-1s' is not a duration"),
    ],
)
def test_wrong_value_names_line_key_and_what_is_accepted(line: str, why: str) -> None:
    message = refusal(line)
    assert message.startswith(f"{MAIN}:2: ")
    assert why in message
    assert message.endswith(")")


@pytest.mark.parametrize(
    "url",
    [
        "ecs.cn-hangzhou.aliyuncs.com",
        "ftp://x",
        "https://",
        "https://user:hush@x",
        "https://x/?Signature=hush",
        "https://x/#hush",
        "https://x:99999",
        "https://[::1",
        "https://a b",
        "https://é",
        "http://ecs.aliyuncs.com",
        "http://127.0.0.1.example.org",
        "http://100.100.100.200",
        "https://x/path",
    ],
)
def test_url_that_is_not_accepted_is_a_fault_without_its_secrets(url: str) -> None:
    message = refusal(f'[network]\necs_endpoint = "{url}"')
    assert "write an https:// URL" in message
    assert "hush" not in message


@pytest.mark.parametrize("key", ["ecs_endpoint", "metadata_url", "sts_endpoint"])
@pytest.mark.parametrize("url", ["http://localhost:1", "http://LOCALHOST"])
def test_plain_url_of_localhost_is_a_fault_that_names_the_address(key: str, url: str) -> None:
    message = refusal(f'[network]\n{key} = "{url}"')
    assert f"network.{key} '{url}' is a name" in message
    assert "write 127.0.0.1 or [::1]" in message


def test_encrypted_url_of_localhost_is_accepted() -> None:
    assert load('[network]\necs_endpoint = "https://localhost:1"').network.ecs_endpoint


def test_metadata_url_may_be_the_services_own_plain_address() -> None:
    config = load('[network]\nmetadata_url = "http://100.100.100.200/"')
    assert config.network.metadata_url == "http://100.100.100.200"


@pytest.mark.parametrize("url", ["https://x", "https://x:8443/", "http://127.1.2.3", ""])
def test_url_that_is_accepted_loses_only_its_last_slash(url: str) -> None:
    config = load(f'[network]\necs_endpoint = "{url}"')
    assert config.network.ecs_endpoint == url.rstrip("/")


def test_all_faults_of_all_places_come_at_once() -> None:
    message = refusal(
        "[snapshot]\nkeep = 1\nwaitt = 2",
        {"SNAP_SELF_STATEDIR": "1"},
        b="[broken",
        a="[state]\ndir = 1",
    )
    assert message.splitlines()[0] == "5 faults in the configuration:"
    places = [line.split(": ")[0].strip() for line in message.splitlines()[1:]]
    assert places == [
        f"{MAIN}:2",
        f"{MAIN}:3",
        "/etc/snap-self/conf.d/a.toml:2",
        "/etc/snap-self/conf.d/b.toml:1",
        "environment",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[snapshot]\nkeep = \n", f"{MAIN}:2: not TOML: Invalid value"),
        (b"[snapshot]\n\n\xff", f"{MAIN}:3: not UTF-8"),
        (b"a = " + b"[" * 100_000, MAIN),
        (b"a = " + b"1" * 10_000, MAIN),
    ],
    ids=["syntax", "encoding", "depth", "number"],
)
def test_file_that_is_no_toml_is_a_fault(content: bytes, why: str) -> None:
    message = refusal(content)
    assert message.startswith(why)
    assert len(message) < 300


def test_file_that_cannot_be_read_is_a_fault() -> None:
    message = refusal(a=PermissionError(13, "Permission denied"))
    assert message == "/etc/snap-self/conf.d/a.toml cannot be read: Permission denied"


def test_folder_of_further_files_holds_other_files_too() -> None:
    files = FakeConfigFiles({"conf.d/README": "x", "conf.d/.a.toml": "x", "conf.d/a.toml~": "x"})
    assert load_config(files.sources()) == default_config()


def distrusted(path: str) -> Distrust:
    hop = PathHop(path=path, kind=PathKind.FILE, mode=0o666, owner=0)
    return Distrust(hop=hop, why=f"{path} is anybody's", hint=f"mend {path}")


def test_file_others_may_change_is_refused_and_not_read() -> None:
    wrong = {"config.toml": [distrusted(MAIN)]}
    files = FakeConfigFiles({"config.toml": "", "conf.d/a.toml": ""}, distrusted=wrong)
    with pytest.raises(ConfigError) as caught:
        load_config(files.sources())
    assert caught.value.message == f"{MAIN} is anybody's; mend it with: mend {MAIN}"
    assert files.read_names == ["conf.d/a.toml"]


@pytest.mark.parametrize("folder", [".", "conf.d"])
def test_folder_others_may_write_to_is_refused_even_if_there_is_no_file(folder: str) -> None:
    files = FakeConfigFiles(distrusted={folder: [distrusted("/etc/x")]})
    with pytest.raises(ConfigError, match="/etc/x is anybody's"):
        load_config(files.sources())


def test_ways_others_may_change_are_each_told_once_with_all_other_faults() -> None:
    above = distrusted("/etc/snap-self/conf.d")
    files = FakeConfigFiles(
        {"config.toml": "[stat]", "conf.d/a.toml": "", "conf.d/b.toml": ""},
        distrusted={
            "conf.d": [above],
            "conf.d/a.toml": [above, distrusted("a")],
            "conf.d/b.toml": [above, distrusted("b")],
        },
    )
    with pytest.raises(ConfigError) as caught:
        load_config(files.sources())
    told = caught.value.message.splitlines()[1:]
    assert [line.split()[0] for line in told] == ["/etc/snap-self/conf.d", f"{MAIN}:1:", "a", "b"]


def test_tags_of_all_files_together_must_not_be_too_many() -> None:
    ten = [f'k{n} = ""' for n in range(10)]
    more = [f'm{n} = ""' for n in range(10)]
    message = refusal("[snapshot.tags]\n" + "\n".join(ten), a="[snapshot.tags]\n" + "\n".join(more))
    assert message.startswith("all files together: snapshot.tags: 20 tags are too many")


def outcome(text: str) -> Config | ConfigError:
    try:
        return load(text.encode("utf-8", "surrogatepass"))
    except ConfigError as error:
        return error


WORDS = st.sampled_from(
    ["[snapshot]", "[disks.map]", "keep", "tags", "=", '"1d"', "{", "}", "'", '"""', "\n", ".", "1"]
)


@given(st.text(alphabet=st.characters()) | st.lists(WORDS).map(" ".join))
def test_any_file_is_a_configuration_or_a_config_error(text: str) -> None:
    assert isinstance(outcome(text), Config | ConfigError)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ('on_failure = "abort"', "abort abort abort abort"),
        ('on_failure = { apt = "abort" }', "abort continue continue continue"),
        ("on_failure = {}", "continue continue continue continue"),
    ],
)
def test_failure_policy_is_told_for_every_manager(text: str, policy: str) -> None:
    told = load(f"[package_managers]\n{text}").package_managers.on_failure
    assert list(told) == ["apt", "dnf", "zypper", "pacman"]
    assert " ".join(told.values()) == policy


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('on_failure = "veto"', "'veto' is not known (write continue or abort)"),
        ('on_failure = { yum = "abort" }', "'yum' is no package manager with a hook"),
        ("on_failure = { apt = 1 }", "is a number (write continue or abort)"),
        ("on_failure = 1", "is a number (write continue or abort)"),
        ('enabled = ["apt", "brew"]', "'brew' is no package manager with a hook"),
        ('limit = "11m"', "of 11m is no limit that a hook can keep (write 5s to 10m)"),
        ('limit = "4s"', "of 4s is no limit that a hook can keep (write 5s to 10m)"),
        ("threshold = -1", "of -1 is below zero"),
        ('threshold = "many"', "is a string (write a number such as 25)"),
        ("threshold = true", "is true or false (write a number such as 25)"),
        ('risky = ["", "a"]', "holds an empty string"),
    ],
)
def test_package_managers_value_that_breaks_its_rule_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[package_managers]\n{text}")
    assert complaint in caught.value.message


def test_threshold_may_come_from_the_environment() -> None:
    config = load(env={"SNAP_SELF_PACKAGE_MANAGERS_THRESHOLD": "7"})
    assert config.package_managers.threshold == 7


def test_enabled_managers_are_told_once_each_in_the_usual_order() -> None:
    config = load('[package_managers]\nenabled = ["pacman", "apt", "apt"]')
    assert config.package_managers.enabled == ("apt", "pacman")


def usable(main: str, **extra: str) -> Loaded:
    files: dict[str, str | bytes | OSError] = {"config.toml": main}
    files |= {f"conf.d/{name}.toml": text for name, text in extra.items()}
    return load_usable(FakeConfigFiles(files).sources())


def test_what_is_usable_keeps_all_but_the_keys_with_a_fault() -> None:
    loaded = usable('[snapshot]\nkeep = "x"\ntimeout = "5m"\nnot_a_key = 1\n')
    assert loaded.fault is not None
    assert len(loaded.fault.faults) == 2
    assert loaded.config.snapshot.keep_s == default_config().snapshot.keep_s
    assert loaded.config.snapshot.timeout_s == 300


def test_what_is_usable_of_a_sound_configuration_is_all_of_it() -> None:
    loaded = usable('[snapshot]\nkeep = "3d"\n')
    assert (loaded.fault, loaded.config.snapshot.keep_s) == (None, 3 * 86400)


@pytest.mark.parametrize(
    ("main", "env", "doubted"),
    [
        ('[state]\ndir = "/x"\n', {}, False),
        ('[state]\ndir = "relative"\n', {}, True),
        ('[state]\ndri = "/x"\n', {}, True),
        ('[stat]\ndir = "/x"\n', {}, True),
        ("state = 1\n", {}, True),
        ("not toml", {}, True),
        ('[snapshot]\nkeep = "x"\n', {}, False),
        ("", {"SNAP_SELF_STATE_DIR": "relative"}, True),
        ("", {"SNAP_SELF_STATE_DRI": "/x"}, True),
        # What goes over it is sure.
        ("not toml", {"SNAP_SELF_STATE_DIR": "/x"}, False),
    ],
)
def test_key_whose_value_cannot_be_told_is_in_doubt(
    main: str, env: dict[str, str], doubted: bool
) -> None:
    sources = FakeConfigFiles({"config.toml": main}).sources()
    loaded = load_usable(dataclasses.replace(sources, env=env))
    assert ("state.dir" in loaded.in_doubt) is doubted


def test_tables_that_do_not_fit_together_count_as_not_written() -> None:
    ten, more = ([f'{letter}{n} = ""' for n in range(10)] for letter in "km")
    loaded = usable("[snapshot.tags]\n" + "\n".join(ten), a="[snapshot.tags]\n" + "\n".join(more))
    assert loaded.fault is not None
    assert len(loaded.fault.faults) == 1
    assert loaded.config.snapshot.tags == {}


def test_table_is_kept_where_another_key_has_the_fault() -> None:
    loaded = usable('[snapshot]\nkeep = "x"\n[snapshot.tags]\nteam = "web"\n')
    assert loaded.config.snapshot.tags == {"team": "web"}
    assert loaded.fault is not None
    assert len(loaded.fault.faults) == 1


def test_hint_names_the_example_as_it_is_on_this_machine() -> None:
    sources = dataclasses.replace(
        FakeConfigFiles({"config.toml": "x = 1"}).sources(), example=lambda: "/here/config.toml"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(sources)
    assert caught.value.hint.startswith("/here/config.toml lists every key")
