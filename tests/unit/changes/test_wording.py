"""The --before text of a transaction, which must stay whole in a tag."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.wording import before_text
from snap_self.model.packages import (
    ACTIONS,
    CHANGE,
    INSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)
from snap_self.model.rules import before_tag, check_before

KERNEL = Package("linux-image-6.1.0-28", UPGRADE)
LIBC = Package("libc6", UPGRADE)
NAMES = st.text(max_size=200)


def others(count: int) -> list[Package]:
    return [Package(f"font-{n}", UPGRADE) for n in range(count)]


def test_risky_packages_are_named_and_the_rest_is_counted() -> None:
    transaction = Transaction("apt", [*others(14), LIBC, KERNEL])
    text = before_text(transaction, [KERNEL, LIBC])
    assert text == "apt: upgrade linux-image-6.1.0-28, libc6 and 14 more"


def test_change_without_a_risky_package_names_some() -> None:
    text = before_text(Transaction("apt", others(30)))
    assert text == "apt: upgrade font-0, font-1, font-2, font-3 and 26 more"


def test_each_verb_stands_once() -> None:
    packages = [KERNEL, Package("hello", INSTALL), LIBC, Package("old", REMOVE)]
    assert before_text(Transaction("apt", packages)) == (
        "apt: upgrade linux-image-6.1.0-28, libc6, install hello, remove old"
    )


def test_program_that_really_calls_is_named() -> None:
    transaction = Transaction("dnf", [Package("glibc", CHANGE)], program="yum")
    assert before_text(transaction) == "yum: change glibc"


def test_package_of_two_architectures_is_named_once() -> None:
    packages = [Package("libc6", UPGRADE, arch=arch) for arch in ("amd64", "i386")]
    assert before_text(Transaction("apt", packages)) == "apt: upgrade libc6"


def test_release_upgrade_is_said() -> None:
    transaction = Transaction("apt", [LIBC], release_upgrade=True)
    assert before_text(transaction) == "apt: release upgrade: upgrade libc6"


def test_change_without_a_list_has_a_text_too() -> None:
    assert before_text(Transaction("apt", [])) == "apt: a change that could not be read"


def test_long_names_are_fewer_rather_than_cut_off() -> None:
    packages = [Package(f"{letter * 50}", UPGRADE) for letter in "abcd"]
    text = before_text(Transaction("apt", packages))
    assert text == f"apt: upgrade {'a' * 50}, {'b' * 50} and 2 more"


@given(
    st.lists(st.builds(Package, NAMES, st.sampled_from(ACTIONS)), max_size=30),
    NAMES,
    st.booleans(),
)
def test_any_transaction_gives_a_text_that_the_cloud_takes_as_it_is(
    packages: list[Package], program: str, release: bool
) -> None:
    transaction = Transaction("apt", packages, program=program, release_upgrade=release)
    text = before_text(transaction, packages[-1:])
    check_before(text)
    assert len(text) <= 128
    assert "acs:" not in before_tag(text)[:4].lower()


def test_name_of_which_nothing_is_seen_is_refused_by_nobody_later() -> None:
    text = before_text(Transaction("\u115f", [Package("lib\u115f\ue000c6", UPGRADE)]))
    assert check_before(text) == "?: upgrade lib??c6"
