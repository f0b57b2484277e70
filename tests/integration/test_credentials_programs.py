"""Programs that print keys: which are found, and what they find around them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from snap_self.model.trust import Distrusted
from snap_self.system.key_programs import KeyPrograms

SURROUNDED = {
    "PATH": "/somewhere/else",
    "HOME": "/home/of/another",
    "LD_PRELOAD": "/tmp/x.so",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush",
    "https_proxy": "http://proxy.example:8080",
    "NO_PROXY": "100.100.100.200",
}


def run(*argv: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    return KeyPrograms(SURROUNDED if env is None else env).run(argv, timeout_s=20)


def test_run_then_the_program_finds_a_clean_environment() -> None:
    _, out, _ = run("env")
    found = dict(line.split("=", 1) for line in out.splitlines())
    own = pwd.getpwuid(os.geteuid())
    assert found == {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": own.pw_dir,
        "USER": own.pw_name,
        "LOGNAME": own.pw_name,
        "LANG": "C.UTF-8",
        "https_proxy": "http://proxy.example:8080",
        "NO_PROXY": "100.100.100.200",
    }


def test_run_then_the_program_starts_in_the_root_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("pwd") == (0, "/\n", "")


def test_run_when_the_program_is_named_by_its_path_then_is_run() -> None:
    assert run("/bin/sh", "-c", "echo here") == (0, "here\n", "")


@pytest.mark.parametrize("name", ["./env", "bin/env", "no-such-program", ""])
def test_run_when_the_program_is_nowhere_in_the_system_then_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "bin").mkdir()
    for place in (tmp_path / "env", tmp_path / "bin/env", tmp_path / "no-such-program"):
        place.write_text("#!/bin/sh\necho planted\n")
        place.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="nor named by an absolute path"):
        run(name, env={"PATH": f"{tmp_path}"})


def test_run_when_it_takes_too_long_then_is_ended() -> None:
    with pytest.raises(TimeoutError, match="did not end within"):
        KeyPrograms({}).run(["sleep", "300"], timeout_s=0.2)


@pytest.mark.root
@pytest.mark.parametrize(
    "argv",
    [
        ("python3", "{folder}"),
        ("python3", "{relative}/__main__.py"),
        ("sh", "-c", "exec {folder}/program"),
        ("sh", "-c", "PATH={folder}:/bin; program"),
        ("env", "PYTHONPATH={folder}", "python3", "-c", "import planted"),
        ("perl", "-I{folder}", "-Mplanted", "-e", "1"),
        ("sh", "{folder}/not-there-yet"),
    ],
    ids=" ".join,
)
def test_run_when_an_argument_leads_into_a_folder_of_a_users_then_is_refused(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    mark = tmp_path / "ran"
    for name in ("__main__.py", "planted.py"):
        (folder / name).write_text(f"open({str(mark)!r}, 'w')\n")
    (folder / "program").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (folder / "program").chmod(0o755)
    (folder / "planted.pm").write_text(f"open(F, '>', '{mark}'); 1\n")
    os.chown(folder, 65534, 65534)
    places = {"folder": str(folder), "relative": str(folder)[1:]}
    with pytest.raises(Distrusted):
        run(*(word.format(**places) for word in argv))
    assert not mark.exists()


@pytest.mark.root
@pytest.mark.parametrize(
    "argv",
    [
        ("sh", "-c", "echo here 2>/dev/null; exit 0"),
        ("sh", "-c", "echo here", "https://vault.example/home/nobody/v1"),
        ("env", "VAULT_ADDR=https://vault.example", "sh", "-c", "echo here"),
        ("sh", "-c", "test -e /etc/passwd/none || echo here"),
    ],
    ids=" ".join,
)
def test_run_when_no_argument_leads_to_anybody_else_then_is_run(argv: tuple[str, ...]) -> None:
    assert run(*argv) == (0, "here\n", "")
