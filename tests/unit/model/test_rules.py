"""Every rule for names, tags, descriptions and retention, with values that break it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snap_self.errors import ExitStatus, RuleError
from snap_self.model import rules
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.shown import is_printable

NOW = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
RUN = RunId("20261122t083225z-abcdef")


def refusal(check: Callable[[str], object], value: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        check(value)
    error = caught.value
    assert error.exit_status is ExitStatus.USAGE
    assert error.hint
    assert len(error.message) < 200
    assert error.message.isprintable()
    return error


@pytest.mark.parametrize("name", ["ab", "数据库-升级", "Before_1.2:x", "x" * 128, "éa"])
def test_snapshot_name_within_the_rules_is_returned(name: str) -> None:
    assert rules.check_snapshot_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "has 0 characters"),
        ("a", "has 1 characters"),
        ("x" * 129, "has 129 characters"),
        ("1abc", "does not begin with a letter"),
        ("-abc", "does not begin with a letter"),
        ("a b", "holds ' '"),
        ("a/b", "holds '/'"),
        ("a\nb", "holds '\\n'"),
        ("a🚀", "holds '🚀'"),
        ("a٣", "holds '٣'"),
        ("http://abc", "begins like a web address"),
        ("HTTPS://abc", "begins like a web address"),
        ("auto-backup", "begins with auto"),
        ("AUTO", "begins with auto"),
    ],
)
def test_snapshot_name_that_breaks_a_rule_is_refused(name: str, why: str) -> None:
    error = refusal(rules.check_snapshot_name, name)
    assert error.message.startswith("snapshot name '")
    assert error.message.endswith(why) or why in error.message


def test_group_name_may_begin_with_auto() -> None:
    assert rules.check_group_name("auto-set") == "auto-set"


def test_group_name_with_a_blank_is_refused() -> None:
    assert refusal(rules.check_group_name, "a b").message.startswith("group name 'a b'")


@pytest.mark.parametrize("text", ["ab", "x" * 256, "vor dem Update: see https://example.org"])
def test_description_within_the_rules_is_returned(text: str) -> None:
    assert rules.check_description(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "has 1 characters"),
        ("x" * 257, "has 257 characters"),
        ("http://x", "begins like a web address"),
        ("Https://x", "begins like a web address"),
        ("a\x00b", "holds a line break, a control character"),
    ],
)
def test_description_that_breaks_a_rule_is_refused(text: str, why: str) -> None:
    assert why in refusal(rules.check_description, text).message


@pytest.mark.parametrize("text", ["os upgrade", "升级", "👨‍👩‍👧", "x" * 200, "--force"])
def test_before_within_the_rules_is_returned(text: str) -> None:
    assert rules.check_before(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("  \t ", "is empty"),
        ("x" * 201, "has 201 characters"),
        ("a\nb", "'a\\nb' holds a line break"),
        ("a\x1b[31m", "holds a line break, a control character"),
        ("a\u202eb", "holds a line break, a control character"),
        ("a\udcff", "broken UTF-8"),
    ],
)
def test_before_that_breaks_a_rule_is_refused(text: str, why: str) -> None:
    assert why in refusal(rules.check_before, text).message


def test_tag_is_split_at_the_first_equals_sign() -> None:
    assert rules.parse_tag("a=b=c") == ("a", "b=c")


def test_tag_without_equals_sign_is_refused() -> None:
    error = refusal(rules.parse_tag, "team")
    assert (error.message, error.hint) == ("tag 'team' has no =", "write it as KEY=VALUE")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "has 0 characters"),
        ("x" * 129, "has 129 characters"),
        ("aliyun-team", "begins with aliyun or acs:"),
        ("ACS:team", "begins with aliyun or acs:"),
        ("my-https://x", "holds http:// or https://"),
        ("snap-self-owner", "begins with snap-self-"),
        ("Snap-Self-x", "begins with snap-self-"),
        ("a\tb", "holds a line break, a control character"),
    ],
)
def test_tag_key_that_breaks_a_rule_is_refused(key: str, why: str) -> None:
    assert why in refusal(rules.check_tag_key, key).message


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x" * 129, "has 129 characters"),
        ("see HTTP://x", "holds http:// or https://"),
        ("acs:x", "begins with acs:"),
        ("a\rb", "holds a line break, a control character"),
    ],
)
def test_tag_value_that_breaks_a_rule_is_refused(value: str, why: str) -> None:
    assert why in refusal(rules.check_tag_value, value).message


@pytest.mark.parametrize("value", ["", "x" * 128, "aliyun"])
def test_tag_value_within_the_rules_is_returned(value: str) -> None:
    assert rules.check_tag_value(value) == value


def test_tags_within_the_rules_are_returned() -> None:
    pairs = [(f"key{n}", "v") for n in range(15)]
    assert rules.check_tags(pairs) == dict(pairs)


def test_sixteenth_tag_is_refused_since_five_are_ours() -> None:
    with pytest.raises(RuleError, match="16 tags are too many") as caught:
        rules.check_tags((f"key{n}", "v") for n in range(16))
    assert "at most 15" in caught.value.hint


def test_tag_key_that_differs_only_in_case_is_refused() -> None:
    with pytest.raises(RuleError, match=r"tag key 'Team' is there twice \('team'\)"):
        rules.check_tags([("team", "a"), ("Team", "b")])


@pytest.mark.parametrize(
    ("keep_s", "days"), [(1, 1), (86400, 1), (86401, 2), (14 * 86400, 14), (65536 * 86400, 65536)]
)
def test_retention_is_rounded_up_to_whole_days(keep_s: int, days: int) -> None:
    assert rules.retention_days(keep_s) == days


@pytest.mark.parametrize("keep_s", [0, -1, 65536 * 86400 + 1])
def test_retention_beyond_the_clouds_range_is_refused(keep_s: int) -> None:
    with pytest.raises(RuleError, match="is not a retention"):
        rules.retention_days(keep_s)


def test_generated_name_is_readable() -> None:
    assert rules.generated_name("os upgrade", NOW) == "before-os-upgrade-20261122-083225"


def test_generated_name_keeps_letters_of_any_script() -> None:
    assert rules.generated_name("数据库 升级!", NOW) == "before-数据库-升级-20261122-083225"


def test_generated_name_of_nothing_usable_still_says_when() -> None:
    assert rules.generated_name("🚀 // 🚀", NOW) == "before-20261122-083225"


def test_generated_description_says_what_where_and_which_run() -> None:
    assert rules.generated_description("os upgrade", INSTANCE, RUN) == (
        f"before os upgrade (snap-self, instance {INSTANCE}, run {RUN})"
    )


def test_generated_description_of_long_text_keeps_the_run() -> None:
    text = rules.generated_description("x" * 1000, INSTANCE, RUN)
    assert len(text) == 256
    assert text.endswith(f"run {RUN})")


def test_before_tag_keeps_ordinary_text() -> None:
    assert rules.before_tag("apt: linux-image 6.1 → 6.2") == "apt: linux-image 6.1 → 6.2"


@pytest.mark.parametrize(
    ("before", "tag"),
    [
        ("see http://x/y", "see http:/x/y"),
        ("hhttp://ttp://x", "hhttp:/ttp:/x"),
        ("acs:x", "before acs:x"),
        ("  a \n b ", "a b"),
        ("🚀", "\ufffd"),
    ],
)
def test_before_tag_of_forbidden_text_is_bent_to_the_rules(before: str, tag: str) -> None:
    assert rules.before_tag(before) == tag


ANY_TEXT = st.text(alphabet=st.characters(), max_size=400)


@given(ANY_TEXT, st.datetimes(timezones=st.just(timezone.utc)))
@example("auto", NOW)
@example("http://x", NOW)
@example("中" * 300, NOW)
def test_generated_name_is_valid_for_any_text(before: str, started: datetime) -> None:
    name = rules.generated_name(before, started)
    assert rules.check_snapshot_name(name) == name
    assert "." not in name


@given(ANY_TEXT)
def test_generated_description_is_valid_for_any_text(before: str) -> None:
    text = rules.generated_description(before, INSTANCE, RUN)
    assert rules.check_description(text) == text


@given(ANY_TEXT)
@example("a" * 127 + "http://")
@example("x" * 126 + " y z")
def test_before_tag_is_valid_for_any_text(before: str) -> None:
    assert rules.check_tag_value(rules.before_tag(before)) is not None


def outcome(check: Callable[[str], str], text: str) -> str | RuleError:
    try:
        return check(text)
    except RuleError as error:
        return error


@given(ANY_TEXT)
@pytest.mark.parametrize(
    "check",
    [
        rules.check_snapshot_name,
        rules.check_group_name,
        rules.check_description,
        rules.check_before,
        rules.check_tag_key,
        rules.check_tag_value,
    ],
    ids=lambda check: check.__name__,
)
def test_checks_return_any_text_or_refuse_it_printably(
    check: Callable[[str], str], text: str
) -> None:
    result = outcome(check, text)
    if isinstance(result, RuleError):
        assert is_printable(result.message)
    else:
        assert result == text
