"""packaging/docs/repositories.md: its commands are run in order, but those that need the cloud."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_packages import deb, need, project_version, rpm
from repository_clients import PLACE, URL, Apt, Client, Dnf, Zypper, client_running
from repository_rig import PROGRAMS, Keyring, Packages, made

from agent_runner import CHECKOUT
from pasted_commands import check_syntax

pytestmark = [pytest.mark.root, pytest.mark.own_root, pytest.mark.slow]

PAGE = CHECKOUT / "packaging/docs/repositories.md"
BLOCK = re.compile(r"^(?:<!-- run: ([a-z ]+) -->\n)?```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLOUD = "real cloud"


def blocks() -> list[tuple[str, str]]:
    """Return where each block of commands is to be run, and its lines."""
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def blocks_for(where: str) -> list[str]:
    """Return the blocks that are run at one place."""
    found = [lines for place, lines in blocks() if place == where]
    assert found, f"no block is marked {where!r}"
    return found


def test_every_block_says_where_it_is_run() -> None:
    assert {place for place, _ in blocks()} == {"maker", "apt", "dnf", "zypper", CLOUD}
    assert len(blocks()) == PAGE.read_text(encoding="utf-8").count("```sh\n")


def test_what_needs_the_cloud_says_so_and_nothing_else_does() -> None:
    for place, lines in blocks():
        assert lines.startswith("# needs the real cloud\n") is (place == CLOUD)
        assert bool(re.search(r"\bossutil\b|\bcurl\b|\baliyun\b", lines)) is (place == CLOUD)
        check_syntax(lines.splitlines())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Follow the page where the key is, with the built packages; then serve to the worlds."""
    need(*PROGRAMS, "patchelf", "strip")
    place = tmp_path_factory.mktemp("maker")
    (place / "packaging").symlink_to(CHECKOUT / "packaging")
    (place / "build").mkdir()
    for package in (deb(), rpm()):
        shutil.copy(package, place / "build")
    home = Path(tempfile.mkdtemp(prefix="keys-", dir="/tmp"))
    ring = Keyring(home / ".gnupg")
    ring.folder.mkdir(mode=0o700)
    # In the place of the dialog: the passphrase comes from a file.
    (home / "passphrase").write_text("a passphrase\n")
    (ring.folder / "gpg.conf").write_text(
        f"batch\npinentry-mode loopback\npassphrase-file {home}/passphrase\n"
    )
    environment = {**ring.environment, "HOME": str(home)}
    del environment["GNUPGHOME"]
    try:
        for lines in blocks_for("maker"):
            done = subprocess.run(
                ["sh", "-euc", lines],
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
        told = (place / "repository/snap-self.repo").read_text()
        assert "https://BUCKET.oss-cn-hangzhou-internal.aliyuncs.com/snap-self/rpm/" in told
        key = ("--key", "packages-2@example.com")
        made(ring, *key, "--output", place / "repository", "--url", URL)
        yield place / "repository"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=ring.environment, check=False)
        shutil.rmtree(home)


@pytest.mark.parametrize(
    ("kind", "where"),
    [(Apt, "apt"), (Dnf, "dnf"), (Zypper, "zypper")],
    ids=["apt", "dnf", "zypper"],
)
def test_page_is_right_on_a_machine(
    repository: Path, tmp_path: Path, kind: type[Client], where: str
) -> None:
    need(kind.PROGRAM)
    with client_running(kind, tmp_path / "machine") as client:
        client.have_shell(Packages(tmp_path / "packages"))
        client.serve(repository)
        for lines in blocks_for(where):
            client.done(f"cd {PLACE}", lines)
        shown = client.machine.run("snap-self", "--version")
    assert shown.stdout.strip() == f"snap-self {project_version()}"
