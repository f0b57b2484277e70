"""packaging/repository.sh: what it makes, keeps, adds, and signs anew."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from built_packages import deb, project_version, rpm
from repository_rig import (
    ARCHITECTURES,
    DEB_HERE,
    RPM_HERE,
    SCRIPT,
    Bench,
    checked,
    contents,
    made,
)

pytestmark = [pytest.mark.root, pytest.mark.own_root]

DEBS, LISTS = Path("deb/pool"), Path("deb/dists/stable")


def add(bench: Bench, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script for the repository, which must succeed."""
    return made(bench.ring, "--key", bench.key, "--output", bench.output, *arguments)


def names(folder: Path, pattern: str) -> set[str]:
    """Return the names of the files that fit."""
    return {path.name for path in folder.glob(pattern)}


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Return which file each name is, and since when."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def release(bench: Bench) -> str:
    """Return what apt reads first."""
    return (bench.output / LISTS / "Release").read_text()


def trusts(path: Path) -> set[str]:
    """Return the fingerprints of the keys in a file."""
    shown = checked("gpg", "--with-colons", "--show-keys", path, env={"PATH": os.environ["PATH"]})
    return {line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:")}


def rpm_signer(path: Path) -> str:
    """Return the last 16 digits of the fingerprint of who signed a package."""
    form = "%{RSAHEADER:pgpsig}"
    return checked("rpm", "-qp", "--nosignature", "--qf", form, path).split()[-1]


# --- once and again ----------------------------------------------------------------------------


@pytest.mark.slow
def test_built_packages_become_a_repository(bench: Bench) -> None:
    new = bench.place / "built"
    made(bench.ring, "--key", bench.key, "--output", new, deb(), rpm())
    version = project_version()
    assert names(new, "deb/pool/*") == {f"snap-self_{version}-1_{DEB_HERE}.deb"}
    assert names(new, "rpm/*/*.rpm") == {f"snap-self-{version}-1.{RPM_HERE}.rpm"}
    assert (new / DEBS / f"snap-self_{version}-1_{DEB_HERE}.deb").read_bytes() == deb().read_bytes()


def test_second_run_changes_nothing(bench: Bench) -> None:
    before = states(bench.place)
    done = add(bench, *bench.packages.both("1.0"))
    assert "nothing to do" in done.stderr
    assert states(bench.place) == before
    assert "nothing to do" in add(bench).stderr
    assert states(bench.place) == before


def test_new_version_lies_beside_the_older_one(bench: Bench) -> None:
    (old_deb,), (old_rpm,) = bench.output.glob("deb/pool/*"), bench.output.glob("rpm/*/*.rpm")
    before = {path: path.read_bytes() for path in (old_deb, old_rpm)}
    another_name = bench.packages.folder / "another name"
    another_name.hardlink_to(old_deb)
    done = add(bench, *bench.packages.both("2.0"))
    assert "2 Debian and 2 rpm packages (2 new)" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    another_name.write_bytes(b"through this nothing that is signed can be changed")
    assert old_deb.read_bytes() == before[old_deb]
    listed = (bench.output / LISTS / f"main/binary-{DEB_HERE}/Packages").read_text()
    assert re.findall(r"^Version: (.*)$", listed, re.MULTILINE) == ["1.0", "2.0"]
    assert sorted(path.name for path in bench.place.iterdir()) == ["repository"]


def test_each_architecture_has_lists_of_its_own(bench: Bench) -> None:
    for debian, other in ARCHITECTURES:
        packages = bench.packages
        add(
            bench, packages.deb("2.0", architecture=debian), packages.rpm("2.0", architecture=other)
        )
    for debian, other in ARCHITECTURES:
        listed = (bench.output / LISTS / f"main/binary-{debian}/Packages").read_text()
        assert set(re.findall(r"^Architecture: (.*)$", listed, re.MULTILINE)) == {debian}
        assert (bench.output / f"rpm/{other}/repodata/repomd.xml.asc").exists()
    assert set(re.findall(r"^Architectures: (.*)$", release(bench), re.MULTILINE)[0].split()) == {
        debian for debian, _ in ARCHITECTURES
    }


def test_lists_lie_under_their_checksums_too(bench: Bench) -> None:
    sums = re.findall(r"^ ([0-9a-f]{64}) +\d+ main/", release(bench), re.MULTILINE)
    assert names(bench.output, "deb/dists/stable/main/binary-*/by-hash/SHA256/*") == set(sums)
    assert "Acquire-By-Hash: yes" in release(bench)


def test_all_can_be_read_by_a_web_server(bench: Bench) -> None:
    old = os.umask(0o077)
    try:
        add(bench, *bench.packages.both("2.0"))
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (bench.output, *bench.output.rglob("*"))}
    assert modes == {0o644, 0o755}


def test_folder_keeps_its_mode_and_owner(bench: Bench) -> None:
    bench.output.chmod(0o750)
    os.chown(bench.output, 65534, 65534)
    add(bench, *bench.packages.both("2.0"))
    found = bench.output.stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o750, 65534, 65534)


def test_link_to_the_folder_stays_one(bench: Bench) -> None:
    link = bench.place / "link"
    link.symlink_to("repository")
    made(bench.ring, "--key", bench.key, "--output", link, *bench.packages.both("2.0"))
    assert link.is_symlink()
    assert len(names(bench.output, "deb/pool/*")) == 2


# --- what machines get -------------------------------------------------------------------------


def test_address_goes_into_both_files_and_is_remembered(bench: Bench) -> None:
    add(bench, "--url", "https://bucket.example.com/snap-self/")
    add(bench, *bench.packages.both("2.0"))
    sources = (bench.output / "snap-self.sources").read_text()
    assert "\nURIs: https://bucket.example.com/snap-self/deb\n" in sources
    assert "\nSigned-By: /etc/apt/keyrings/snap-self.gpg\n" in sources
    repo = (bench.output / "snap-self.repo").read_text()
    assert "\nbaseurl=https://bucket.example.com/snap-self/rpm/$basearch\n" in repo
    for wanted in ("gpgcheck=1", "repo_gpgcheck=1", "pkg_gpgcheck=1"):
        assert f"\n{wanted}\n" in repo


def test_without_an_address_the_folder_itself_is_it(bench: Bench) -> None:
    new = bench.place / "a folder"
    made(bench.ring, "--key", bench.key, "--output", new, bench.packages.deb("1.0"))
    assert (
        f"\nURIs: file://{bench.place}/a%20folder/deb\n" in (new / "snap-self.sources").read_text()
    )
    assert not (new / "snap-self.repo").exists()


def test_public_key_is_there_in_both_forms(bench: Bench) -> None:
    for name in ("snap-self.asc", "snap-self.gpg"):
        assert trusts(bench.output / name) == {bench.key}
    shown = (bench.output / "snap-self.asc").read_text()
    assert "PGP PUBLIC KEY" in shown
    assert "PRIVATE" not in shown


def test_time_limit_is_renewed_at_each_run_until_it_is_taken_back(bench: Bench) -> None:
    assert "Valid-Until: " not in release(bench)
    done = add(bench, "--valid-for", "7")
    limit = re.findall(r"^Valid-Until: (.*)$", release(bench), re.MULTILINE)
    assert f"apt refuses its lists after {limit[0]}: run this again before" in done.stderr
    inode = (bench.output / LISTS / "InRelease").stat().st_ino
    add(bench)
    assert (bench.output / LISTS / "InRelease").stat().st_ino != inode
    assert "Valid-Until: " in release(bench)
    add(bench, "--valid-for", "0")
    assert "Valid-Until: " not in release(bench)


# --- keys change -------------------------------------------------------------------------------


def test_keys_change_in_three_steps(bench: Bench) -> None:
    new = ("--key", bench.other, "--output", bench.output)
    (package,) = bench.output.glob("rpm/*/*.rpm")
    add(bench, "--also-key", bench.other)
    assert trusts(bench.output / "snap-self.gpg") == {bench.key, bench.other}
    assert rpm_signer(package) == bench.key[-16:].lower()
    made(bench.ring, *new, "--also-key", bench.key)
    assert trusts(bench.output / "snap-self.asc") == {bench.key, bench.other}
    assert rpm_signer(package) == bench.other[-16:].lower()
    made(bench.ring, *new)
    assert trusts(bench.output / "snap-self.gpg") == {bench.other}
    assert "nothing to do" in made(bench.ring, *new).stderr


def test_key_that_got_more_time_is_handed_out_anew(bench: Bench) -> None:
    before = (bench.output / "snap-self.gpg").read_bytes()
    bench.ring.gpg("--quick-set-expire", bench.key, "9y")
    add(bench)
    assert (bench.output / "snap-self.gpg").read_bytes() != before
    bench.ring.gpg("--quick-set-expire", bench.key, "5y")


# --- runs that are ended -----------------------------------------------------------------------

# A step that says that it was reached, and waits to be killed.
STUCK = """
set -e
printf '#!/bin/sh\\necho reached >>"%s"\\nexec sleep 600\\n' "$1" >"$1.program"
chmod 755 "$1.program"
mount --bind "$1.program" "$2"
shift 2
exec "$@"
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run_that_is_ended_leaves_the_repository_as_it_was(
    bench: Bench, tmp_path: Path, how: signal.Signals
) -> None:
    before = contents(bench.output)
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    argv = ["unshare", "--mount", "sh", "-c", STUCK, "sh", mark, "/usr/bin/createrepo_c", SCRIPT]
    argv += ["--key", bench.key, "--output", bench.output, *bench.packages.both("2.0")]
    with subprocess.Popen(
        [str(word) for word in argv],
        env=bench.ring.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert mark.read_text() == "reached\n"
        os.killpg(process.pid, how)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[how]
    assert contents(bench.output) == before
    left = names(bench.place, ".*")
    assert bool(left) is (how is signal.SIGKILL)
    add(bench, *bench.packages.both("2.0"))
    assert sorted(path.name for path in bench.place.iterdir()) == ["repository"]
    assert len(names(bench.output, "deb/pool/*")) == 2


def test_state_between_the_two_renames_is_repaired(bench: Bench) -> None:
    add(bench)  # tests before this one may have changed the key, which is published anew then
    before = contents(bench.output)
    bench.output.rename(bench.place / ".repository.before")
    assert "nothing to do" in add(bench).stderr
    assert contents(bench.output) == before
    assert sorted(path.name for path in bench.place.iterdir()) == ["repository"]


def test_without_an_exchange_in_one_step_two_renames_do(bench: Bench) -> None:
    # Where there is no Python, for one.
    hide = (
        "for name in /usr/bin/python3* /usr/local/bin/python3*; do"
        ' [ ! -e "$name" ] || mount --bind /dev/null "$(readlink -f "$name")"; done; exec "$@"'
    )
    done = bench.run(
        *bench.packages.both("2.0"), before=("unshare", "--mount", "sh", "-c", hide, "sh")
    )
    assert done.returncode == 0, done.stderr
    assert len(names(bench.output, "deb/pool/*")) == 2
    assert sorted(path.name for path in bench.place.iterdir()) == ["repository"]


def test_two_runs_at_once_both_add_what_they_were_given(bench: Bench) -> None:
    argv = [SCRIPT, "--key", bench.key, "--output", bench.output]
    runs = [
        subprocess.Popen(
            [str(word) for word in (*argv, package)],
            env=bench.ring.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for package in (bench.packages.deb("2.0"), bench.packages.deb("3.0"))
    ]
    assert [run.wait(300) for run in runs] == [0, 0]
    assert len(names(bench.output, "deb/pool/*")) == 3
