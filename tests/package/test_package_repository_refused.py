"""packaging/repository.sh: what it refuses, and that a refusal leaves everything as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from repository_rig import NAME, Bench, checked, contents, keyring, repository, spoil

pytestmark = [
    pytest.mark.root,
    pytest.mark.own_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mount namespaces"),
]


def refused(done: subprocess.CompletedProcess[str], *said: str, status: int = 4) -> None:
    """Check that a run was refused in our words."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert "\n  hint: " in done.stderr
    for word in said:
        assert word in done.stderr


@pytest.fixture
def unchanged(bench: Bench) -> Iterator[None]:
    """Check that nothing beside and in the repository was changed."""
    before = contents(bench.place), sorted(bench.place.iterdir())
    yield
    assert (contents(bench.place), sorted(bench.place.iterdir())) == before


# --- usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "x"), "--key is needed"),
        (("--key", "x"), "--output is needed"),
        (("--key", "x", "--output", "/"), "--output cannot be /"),
        (("--key", "x", "--output", "x", "--url", "ftp://a"), "ftp://a is no address"),
        (("--key", "x", "--output", "x", "--url", "https://a b"), "must be written as %XX"),
        (("--key", "x", "--output", "x", "--url", "https://a\nb"), "must be written as %XX"),
        (("--key", "x", "--output", "x", "--valid-for", "1w"), "a number of days"),
        (("--key", "x", "--output", "x", "--valid-for", "99999"), "a number of days"),
        (("--key", "x", "--output"), "--output needs a value"),
        (("--key", "--output", "x"), "--output is needed"),
        (("a.deb", "--fly"), "unknown option --fly"),
    ],
)
def test_wrong_usage_is_told(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    refused(repository(bench.ring, *arguments), said, status=2)


def test_new_repository_without_a_package_is_wrong_usage(bench: Bench) -> None:
    new = bench.place / "new"
    done = repository(bench.ring, "--key", bench.key, "--output", new)
    refused(done, "at least one PACKAGE", status=2)
    assert not new.exists()


# --- keys ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged")
def test_unknown_key_is_refused(bench: Bench) -> None:
    new = bench.packages.deb("2.0")
    refused(bench.run(new, "--key", "nobody@example.invalid"), "gpg knows no key nobody@")


@pytest.mark.usefixtures("unchanged")
def test_key_that_may_be_one_of_two_is_refused_with_both(bench: Bench) -> None:
    done = bench.run(bench.packages.deb("2.0"), "--key", "example.invalid")
    refused(done, "more than one key example.invalid", bench.key, bench.other)


@pytest.mark.usefixtures("unchanged")
def test_key_without_its_secret_part_is_refused(bench: Bench) -> None:
    done = bench.run(bench.packages.deb("2.0"), ring=bench.public_only)
    refused(done, f"the secret part of key {bench.key} is not here")


@pytest.mark.usefixtures("unchanged")
def test_expired_key_is_refused_with_its_date(bench: Bench) -> None:
    with keyring() as ring:
        key = ring.make("old", expires="1y", now="20200101T000000")
        done = bench.run("--key", key, bench.packages.deb("2.0"), ring=ring)
    refused(done, f"key {key} expired on 2020-12-31", "--quick-set-expire")


@pytest.mark.usefixtures("unchanged")
def test_revoked_key_is_refused(bench: Bench) -> None:
    with keyring() as ring:
        key = ring.make("revoked")
        ring.revoke(key)
        done = bench.run("--key", key, bench.packages.deb("2.0"), ring=ring)
    refused(done, f"key {key} is revoked")


@pytest.mark.usefixtures("unchanged")
def test_revoked_key_beside_is_refused_too(bench: Bench) -> None:
    with keyring() as ring:
        key, other = ring.make("fine"), ring.make("revoked")
        ring.revoke(other)
        done = bench.run("--key", key, "--also-key", other, ring=ring)
    refused(done, f"key {other} is revoked")


@pytest.mark.usefixtures("unchanged")
def test_key_that_only_encrypts_is_refused(bench: Bench) -> None:
    with keyring() as ring:
        quick = ("--pinentry-mode=loopback", "--passphrase=", "--quick-generate-key")
        ring.gpg(*quick, "certify", "rsa2048", "cert", "1y")
        (key,) = ring.fingerprints()
        refused(bench.run("--key", key, ring=ring), f"key {key} has no part that may sign now")


@pytest.mark.usefixtures("unchanged")
def test_key_whose_passphrase_nobody_gives_is_refused(bench: Bench) -> None:
    with keyring() as ring:
        (ring.folder / "gpg-agent.conf").write_text("pinentry-program /bin/false\n")
        quick = ("--pinentry-mode=loopback", "--passphrase=word", "--quick-generate-key")
        ring.gpg(*quick, "locked", "rsa2048", "sign", "1y")
        (key,) = ring.fingerprints()
        checked("gpgconf", "--kill", "gpg-agent", env=ring.environment)
        refused(bench.run("--key", key, ring=ring), "gpg could not sign", "passphrase")


@pytest.mark.usefixtures("unchanged")
def test_keyring_that_others_can_change_is_refused_for_root(bench: Bench) -> None:
    with keyring() as ring:
        ring.folder.chmod(0o777)
        refused(bench.run("--key", bench.key, ring=ring), "a keyring that others can change")


# --- programs --------------------------------------------------------------------------------

HIDE = """
set -e
name=$1
shift
for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
    [ ! -e "$folder/$name" ] || mount --bind /dev/null "$folder/$name"
done
exec "$@"
"""


def without(program: str) -> tuple[str, ...]:
    """Return the words that start something where a program is not there."""
    return ("unshare", "--mount", "sh", "-c", HIDE, "sh", program)


@pytest.mark.parametrize(
    "program", ["gpg", "gpgv", "dpkg-deb", "apt-ftparchive", "rpm", "rpmsign", "createrepo_c"]
)
@pytest.mark.usefixtures("unchanged")
def test_missing_program_is_named_with_its_package(bench: Bench, program: str) -> None:
    done = bench.run(*bench.packages.both("2.0"), before=without(program))
    refused(done, f"{program} is missing", "apt-get install ")


@pytest.mark.parametrize(("kind", "program"), [("deb", "createrepo_c"), ("rpm", "apt-ftparchive")])
def test_program_of_the_other_kind_of_package_is_not_needed(
    bench: Bench, kind: str, program: str
) -> None:
    new = bench.place / "new"
    package = bench.packages.deb("1.0") if kind == "deb" else bench.packages.rpm("1.0")
    done = bench.run(package, "--output", new, before=without(program))
    assert done.returncode == 0, done.stderr
    assert (new / kind).is_dir()


FAILING = """
set -e
printf '#!/bin/sh\\necho no more room >&2\\nexit 1\\n' >"$1"
chmod 755 "$1"
mount --bind "$1" "$2"
shift 2
exec "$@"
"""


@pytest.mark.parametrize("program", ["createrepo_c", "apt-ftparchive", "rpmsign", "gzip"])
@pytest.mark.usefixtures("unchanged")
def test_program_that_fails_in_the_middle_leaves_nothing(
    bench: Bench, program: str, tmp_path: Path
) -> None:
    found = shutil.which(program)
    assert found
    fake = str(tmp_path / "failing")
    before = ("unshare", "--mount", "sh", "-c", FAILING, "sh", fake, os.path.realpath(found))
    done = bench.run(*bench.packages.both("2.0"), before=before)
    refused(done, "no more room")


# --- packages --------------------------------------------------------------------------------


def truncated(path: Path, folder: Path) -> Path:
    """Return a copy that lacks its end."""
    (folder / path.name).write_bytes(path.read_bytes()[:-40])
    return folder / path.name


def damaged(path: Path, folder: Path) -> Path:
    """Return a copy with another byte near its end, in the content."""
    content = bytearray(path.read_bytes())
    content[-30] ^= 0xFF
    (folder / path.name).write_bytes(content)
    return folder / path.name


@pytest.mark.parametrize("kind", ["deb", "rpm"])
@pytest.mark.parametrize("break_it", [truncated, damaged])
@pytest.mark.usefixtures("unchanged")
def test_broken_package_is_refused(
    bench: Bench, kind: str, break_it: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    whole = bench.packages.deb("2.0") if kind == "deb" else bench.packages.rpm("2.0")
    good = bench.packages.deb("3.0")
    refused(bench.run(good, break_it(whole, tmp_path)), f"{whole.name} is broken")


@pytest.mark.usefixtures("unchanged")
def test_package_that_is_not_there_is_refused(bench: Bench) -> None:
    refused(bench.run(bench.place / "snap-self_9_amd64.deb"), "there is no package")


@pytest.mark.usefixtures("unchanged")
def test_list_of_packages_is_no_package(bench: Bench, tmp_path: Path) -> None:
    # rpm -q would read the packages that it names.
    (tmp_path / "list.rpm").write_text(f"{bench.packages.rpm('2.0')}\n")
    refused(bench.run(tmp_path / "list.rpm"), "neither a Debian nor an rpm package")


@pytest.mark.parametrize("kind", ["deb", "rpm"])
@pytest.mark.usefixtures("unchanged")
def test_package_of_another_name_is_refused(bench: Bench, kind: str) -> None:
    make = bench.packages.deb if kind == "deb" else bench.packages.rpm
    refused(bench.run(make("2.0", name="openssl")), "a package of openssl, not of snap-self")


@pytest.mark.parametrize(("kind", "none"), [("deb", "all"), ("rpm", "noarch")])
@pytest.mark.usefixtures("unchanged")
def test_package_of_no_architecture_is_refused(bench: Bench, kind: str, none: str) -> None:
    make = bench.packages.deb if kind == "deb" else bench.packages.rpm
    refused(bench.run(make("2.0", architecture=none)), "is of no architecture")


@pytest.mark.parametrize("kind", ["deb", "rpm"])
@pytest.mark.usefixtures("unchanged")
def test_another_build_of_a_published_version_is_refused(bench: Bench, kind: str) -> None:
    make = bench.packages.deb if kind == "deb" else bench.packages.rpm
    done = bench.run(make("1.0", content="echo other"))
    refused(done, "is there already", "another build of this version", "a higher --version")


# --- the folder ------------------------------------------------------------------------------


def test_folder_with_something_else_is_refused_and_left(bench: Bench) -> None:
    other = bench.place / "photos"
    other.mkdir()
    (other / "one.jpg").write_bytes(b"1")
    before = contents(bench.place)
    done = bench.run(*bench.packages.both("1.0"), "--output", other)
    refused(done, "holds something that is no repository of snap-self")
    assert contents(bench.place) == before


@pytest.mark.usefixtures("unchanged")
def test_file_in_the_folders_place_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = bench.run(bench.packages.deb("1.0"), "--output", tmp_path / "file")
    refused(done, f"{tmp_path}/file is no folder")
    assert (tmp_path / "file").read_text() == "x"


def test_link_to_nowhere_is_refused(bench: Bench) -> None:
    (bench.place / "link").symlink_to(bench.place / "nowhere")
    done = bench.run(bench.packages.deb("1.0"), "--output", bench.place / "link")
    refused(done, "link is no folder")
    assert not (bench.place / "nowhere").exists()


@pytest.mark.usefixtures("unchanged")
def test_folder_in_a_folder_that_is_not_there_is_refused(bench: Bench) -> None:
    done = bench.run(bench.packages.deb("1.0"), "--output", bench.place / "a/b")
    refused(done, "there is no folder for", "mkdir -p")


@pytest.mark.usefixtures("unchanged")
def test_folder_that_cannot_be_written_is_refused(bench: Bench) -> None:
    lock = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", lock, "sh", str(bench.place))
    done = bench.run(bench.packages.deb("2.0"), before=before)
    refused(done, "cannot be written")


@pytest.mark.usefixtures("unchanged")
def test_mount_point_is_refused(bench: Bench) -> None:
    hold = 'mount --bind "$1" "$1" && shift && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", hold, "sh", str(bench.output))
    done = bench.run(bench.packages.deb("2.0"), before=before)
    refused(done, "is a mount point")


# --- what lies there and is not what was signed ------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["deb/pool/*.deb", "rpm/*/*.rpm", f"{NAME}.repository", "deb/dists/stable/Release", "*.gpg"],
)
def test_repository_that_somebody_changed_is_not_signed_again(bench: Bench, pattern: str) -> None:
    (changed,) = bench.output.glob(pattern)
    spoil(changed)
    before = contents(bench.place)
    done = bench.run(bench.packages.deb("2.0"))
    refused(done, str(changed.relative_to(bench.output)), "changed by something else")
    assert contents(bench.place) == before


@pytest.mark.parametrize("name", ["deb/pool/snap-self_6.6_amd64.deb", "index.html"])
def test_repository_with_a_file_more_is_not_signed_again(bench: Bench, name: str) -> None:
    (bench.output / name).write_bytes(bench.packages.deb("1.0").read_bytes())
    refused(bench.run(bench.packages.deb("2.0")), name, "changed by something else")
    assert (bench.output / name).exists()


@pytest.mark.parametrize("kind", ["deb/pool/*.deb", "rpm/*/*.rpm"])
def test_what_is_changed_after_it_was_compared_is_not_signed(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    (changed,) = bench.output.glob(kind)
    copier = tmp_path / "cp"
    copier.write_text(f'#!/bin/sh\n[ "$1" != -a ] || echo x >>{changed}\nexec /bin/cp "$@"\n')
    copier.chmod(0o755)
    path = f"PATH={tmp_path}:{os.environ['PATH']}"
    done = bench.run(bench.packages.deb("2.0"), before=("env", path))
    refused(done, str(changed.relative_to(bench.output)), "while it was copied")
    assert sorted(each.name for each in bench.place.iterdir()) == ["repository"]


@pytest.mark.parametrize("name", ["deb", "deb/pool/snap-self_6.6_amd64.deb"])
def test_repository_with_a_symbolic_link_is_not_signed_again(bench: Bench, name: str) -> None:
    link = bench.output / name
    if link.exists():
        link.rename(bench.place / "elsewhere")
    link.symlink_to(bench.place / "elsewhere")
    refused(bench.run(bench.packages.deb("2.0")), f"a symbolic link: {name}\n")


def test_repository_with_a_file_less_is_not_signed_again(bench: Bench) -> None:
    (lost,) = bench.output.glob("rpm/*/*.rpm")
    lost.unlink()
    refused(bench.run(bench.packages.deb("2.0")), lost.name, "changed by something else")


@pytest.mark.usefixtures("unchanged")
def test_repository_of_another_key_is_refused(bench: Bench) -> None:
    done = bench.run(bench.packages.deb("2.0"), "--key", bench.other)
    refused(done, f"is not signed by key {bench.other}", "--also-key")


def test_list_of_files_that_somebody_signed_anew_is_refused(bench: Bench) -> None:
    spoil(next(bench.output.glob("deb/pool/*.deb")))
    files = sorted(set(contents(bench.output)) - {f"{NAME}.sha256", f"{NAME}.sha256.asc"})
    listed = bench.output / f"{NAME}.sha256"
    sums = subprocess.run(
        ["sha256sum", *files], cwd=bench.output, capture_output=True, text=True, check=True
    )
    listed.write_text(sums.stdout)
    bench.ring.sign_apart(listed, bench.output / f"{NAME}.sha256.asc", key=bench.other)
    refused(bench.run(bench.packages.deb("2.0")), f"is not signed by key {bench.key}")
