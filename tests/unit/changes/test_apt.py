"""apt's list in its versions, cut off anywhere, and the conversation around it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.hook_outside import FakeOutside
from snap_self.changes.apt import AptConversation, parse
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
)

HEAD = "VERSION 3\nAPT::Architecture=amd64\nDir=/\nCommandLine::AsString=apt-get%20install%20x\n\n"
ARCHIVES = "/var/cache/apt/archives"
LINES = {
    "install": f"hello - - none < 2.10-3 amd64 none {ARCHIVES}/hello_2.10-3_amd64.deb",
    "upgrade": f"libc6 2.36-9 amd64 same < 2.36-10 amd64 same {ARCHIVES}/libc6.deb",
    "downgrade": f"libfoo 2.0 all none > 1.0 all none {ARCHIVES}/libfoo_1.0_all.deb",
    "reinstall": f"tree 2.1.0-1 amd64 none = 2.1.0-1 amd64 none {ARCHIVES}/tree.deb",
    "remove": "old 1.4 amd64 same > - - none **REMOVE**",
}


def conversation(
    text: str | bytes, env: dict[str, str] | None = None, outside: FakeOutside | None = None
) -> AptConversation:
    raw = text if isinstance(text, bytes) else text.encode()
    return AptConversation(
        io.BytesIO(raw), io.BytesIO(), io.StringIO(), env or {}, outside or FakeOutside()
    )


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("install", Package("hello", INSTALL, arch="amd64", new="2.10-3")),
        ("upgrade", Package("libc6", UPGRADE, arch="amd64", old="2.36-9", new="2.36-10")),
        ("downgrade", Package("libfoo", DOWNGRADE, arch="all", old="2.0", new="1.0")),
        ("reinstall", Package("tree", REINSTALL, arch="amd64", old="2.1.0-1", new="2.1.0-1")),
        ("remove", Package("old", REMOVE, arch="amd64", old="1.4")),
    ],
)
def test_line_of_version_3_is_understood(kind: str, package: Package) -> None:
    assert parse(f"{HEAD}{LINES[kind]}\n").packages == (package,)


def test_mixed_list_keeps_its_order() -> None:
    said = parse(HEAD + "\n".join(LINES.values()) + "\n")
    assert [package.action for package in said.packages] == list(LINES)
    assert not said.truncated


def test_line_of_version_2_has_no_architecture() -> None:
    said = parse(f"VERSION 2\nDir=/\n\nlibc6 2.36-9 < 2.36-10 {ARCHIVES}/libc6.deb\n")
    assert said.packages == (Package("libc6", UPGRADE, old="2.36-9", new="2.36-10"),)


def test_without_a_version_line_files_are_named() -> None:
    said = parse(f"{ARCHIVES}/libstdc++6_2%3a12.2.0-14_amd64.deb\n/root/own.deb\n")
    assert said.packages == (
        Package("libstdc++6", CHANGE, arch="amd64", new="2:12.2.0-14"),
        Package("own", CHANGE),
    )


@pytest.mark.parametrize("line", ["VERSION 9", "VERSION 0", "VERSION x", "VERSION "])
def test_version_that_is_not_known_is_told(line: str) -> None:
    with pytest.raises(ValueError, match="1 to 3 are known"):
        parse(f"{line}\n\n")


def test_package_that_is_unpacked_and_configured_counts_once() -> None:
    configured = "hello - - none < 2.10-3 amd64 none **CONFIGURE**"
    for lines in ((LINES["install"], configured), (configured, LINES["install"])):
        (package,) = parse(HEAD + "\n".join(lines) + "\n").packages
        assert package.action == INSTALL


def test_package_of_two_architectures_counts_twice() -> None:
    foreign = LINES["upgrade"].replace("amd64", "i386")
    said = parse(f"{HEAD}{LINES['upgrade']}\n{foreign}\n")
    assert [package.arch for package in said.packages] == ["amd64", "i386"]


def test_package_that_is_only_configured_is_a_change() -> None:
    (package,) = parse(f"{HEAD}hello - - none < 2.10-3 amd64 none **CONFIGURE**\n").packages
    assert package == Package("hello", CHANGE, arch="amd64", new="2.10-3")


def test_package_without_a_file_is_known_by_its_versions() -> None:
    (package,) = parse(f"{HEAD}hello 1 amd64 none < 2 amd64 none **ERROR**\n").packages
    assert package.action == UPGRADE


def test_path_with_spaces_is_one_field() -> None:
    (package,) = parse(f"{HEAD}hello - - none < 1 amd64 none /my files/hello 1.deb\n").packages
    assert package.name == "hello"


@pytest.mark.parametrize("name", ["g++-12", "libstdc++6", "python3.11", "0ad", "lib32gcc-s1"])
def test_names_with_signs_are_kept(name: str) -> None:
    (package,) = parse(f"{HEAD}{name} 1 amd64 none < 2 amd64 none /x.deb\n").packages
    assert package.name == name


def test_settings_are_decoded_and_the_last_counts() -> None:
    said = parse("VERSION 3\nA%3db=1%0a2\na%3dB=%25%zz%c3%a4\nX::=1\nX::=2\n\n")
    assert said.settings == {"a=b": "%%zzä", "x::": "2"}


@pytest.mark.parametrize(
    ("setting", "root"),
    [
        ("Dir=/", "/"),
        ("RootDir=/", "/"),
        ("Dir=/mnt/", "/mnt/"),
        ("RootDir=/mnt", "/mnt"),
        ("DPkg::Chroot-Directory=/srv/root", "/srv/root"),
        ("DPkg::Chroot-Directory=/", "/"),
        ("DPkg::Options::=--root=/mnt/r\nDPkg::Options::=--force-confold", "/mnt/r"),
        ("DPkg::Options::=--force-confold\nDPkg::Options::name=--instdir=/mnt/r", "/mnt/r"),
        ("DPkg::Options::=--root\nDPkg::Options::=/mnt/r", "/mnt/r"),
        ("DPkg::Options::=--root=/", "/"),
        ("DPkg::Options::=--force-confold", "/"),
    ],
)
def test_root_is_where_the_packages_go(setting: str, root: str) -> None:
    assert parse(f"VERSION 3\n{setting}\n\n").root() == root


def test_two_thousand_packages_are_read() -> None:
    lines = [f"lib{n} 1 amd64 none < 2 amd64 none /a/lib{n}_2_amd64.deb" for n in range(2000)]
    said = parse(HEAD + "\n".join(lines + [f"{x.rpartition(' ')[0]} **CONFIGURE**" for x in lines]))
    assert len(said.packages) == 2000


@given(st.integers(min_value=0, max_value=len(HEAD) + 300))
def test_list_cut_off_anywhere_is_read_as_far_as_it_goes(end: int) -> None:
    whole = HEAD + "\n".join(LINES.values()) + "\n"
    cut = whole[:end]
    # A list that lost its first line's end cannot be told from one of version 1.
    if len("VERSION 3") <= end < len(whole):
        said = parse(cut)
        assert said.truncated == (not cut.endswith("\n") or "\n\n" not in cut)
        assert set(said.packages[:-1]) <= set(parse(whole).packages)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_by_its_version(text: str) -> None:
    for head in ("", "VERSION 2\n", "VERSION 3\n\n"):
        try:
            parse(head + text)
        except ValueError as error:
            assert "of its list" in str(error)  # noqa: PT017


def test_conversation_reads_the_descriptor_that_apt_names() -> None:
    outside = FakeOutside(inputs={20: f"{HEAD}{LINES['upgrade']}\n".encode()})
    transaction = conversation(b"not this", {"APT_HOOK_INFO_FD": "20"}, outside).transaction()
    assert transaction is not None
    assert [package.name for package in transaction.packages] == ["libc6"]
    assert transaction.command == "apt-get install x"


@pytest.mark.parametrize("number", ["", "0", "none"])
def test_conversation_reads_standard_input_without_one(number: str) -> None:
    talk = conversation(f"{HEAD}{LINES['upgrade']}\n", {"APT_HOOK_INFO_FD": number})
    assert talk.transaction() is not None


def test_descriptor_that_is_not_open_is_told() -> None:
    talk = conversation(b"", {"APT_HOOK_INFO_FD": "21"})
    with pytest.raises(ValueError, match="cannot be read"):
        talk.transaction()


def test_empty_list_is_no_transaction() -> None:
    assert conversation(HEAD).transaction() is None


@pytest.mark.parametrize("text", ["", "/a/hello_1_amd64.deb\n", "/a/hello_1_amd64.deb"])
def test_list_without_a_version_is_never_whole_since_it_tells_no_removals(text: str) -> None:
    transaction = conversation(text).transaction()
    assert transaction is not None
    assert transaction.truncated


def test_list_that_ends_in_its_settings_is_a_transaction_that_is_not_whole() -> None:
    transaction = conversation(HEAD[:40]).transaction()
    assert transaction is not None
    assert transaction.truncated


@pytest.mark.parametrize(("value", "skipped"), [("1", True), ("true", True), ("0", False)])
def test_skip_of_apts_configuration_is_taken_over(value: str, skipped: bool) -> None:
    head = HEAD.replace("Dir=/\n", f"Dir=/\nSnapSelf::Skip={value}\n")
    transaction = conversation(f"{head}{LINES['upgrade']}\n").transaction()
    assert transaction is not None
    assert bool(transaction.skip) == skipped


def test_removed_packages_that_dpkg_calls_essential_are_named() -> None:
    answer = "bash amd64 installed yes no\nold amd64 installed  yes\ntree amd64 installed no no\n"
    outside = FakeOutside(answers={"dpkg-query": answer})
    lines = [LINES["remove"].replace("old", name) for name in ("tree", "old", "bash")]
    talk = conversation(HEAD + "\n".join(lines) + "\n", outside=outside)
    transaction = talk.transaction()
    assert transaction is not None
    assert (transaction.essential, transaction.unasked) == (("bash", "old"), ())
    assert outside.asked[0][-3:] == ("bash", "old", "tree")


@pytest.mark.parametrize("answers", [{}, {"dpkg-query": ""}, {"dpkg-query": "old amd64\n"}])
def test_removed_packages_of_which_dpkg_says_nothing_are_named(answers: dict[str, str]) -> None:
    talk = conversation(f"{HEAD}{LINES['remove']}\n", outside=FakeOutside(answers=answers))
    transaction = talk.transaction()
    assert transaction is not None
    assert (transaction.essential, transaction.unasked) == ((), ("old",))


def test_purge_of_what_only_has_configuration_left_is_no_removal() -> None:
    answer = "old amd64 config-files no \nold i386 installed no \n"
    lines = LINES["remove"], LINES["remove"].replace("amd64", "i386")
    for line, left in zip(lines, (0, 1), strict=True):
        outside = FakeOutside(answers={"dpkg-query": answer})
        transaction = conversation(f"{HEAD}{line}\n", outside=outside).transaction()
        assert len(transaction.packages if transaction else ()) == left


def test_dpkg_is_not_asked_when_nothing_is_removed() -> None:
    outside = FakeOutside()
    conversation(f"{HEAD}{LINES['upgrade']}\n", outside=outside).transaction()
    assert outside.asked == []


def test_package_removed_for_one_architecture_and_kept_for_another_is_not_asked_about() -> None:
    outside = FakeOutside()
    lines = LINES["upgrade"], LINES["remove"].replace("old", "libc6").replace("amd64", "i386")
    conversation(HEAD + "\n".join(lines) + "\n", outside=outside).transaction()
    assert outside.asked == []


def test_release_upgrade_is_known_by_its_variable() -> None:
    for value, upgrade in (("1", True), ("", False)):
        env = {"RELEASE_UPGRADE_IN_PROGRESS": value}
        transaction = conversation(f"{HEAD}{LINES['upgrade']}\n", env).transaction()
        assert transaction is not None
        assert transaction.release_upgrade == upgrade


def test_bytes_that_are_not_utf8_are_kept() -> None:
    raw = f"{HEAD}hello - - none < 1 amd64 none /x/".encode() + b"\xff.deb\n"
    transaction = conversation(raw).transaction()
    assert transaction is not None
    assert transaction.packages[0].name == "hello"
