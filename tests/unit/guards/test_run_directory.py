"""The search for leaked secrets must be able to find one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from run_directory import RunDirectory

SECRET = 'kX/9+tok"en=='


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run directory in which one secret was handed out."""
    run = RunDirectory.create(tmp_path / "run")
    run.note_secrets([SECRET])
    return run


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"error: token {SECRET} is bad",
        f"url=http://x/?a={quote(SECRET, safe='')}&b",
        json.dumps({"deep": {"token": SECRET}}),
        base64.b64encode(SECRET.encode()).decode(),
    ],
    ids=["bare", "in a sentence", "percent-encoded", "in JSON", "in base64"],
)
@pytest.mark.parametrize("part", ["agent", "state", "home", "tmp", "captured"])
def test_leaks_with_planted_secret_names_its_file(run: RunDirectory, part: str, text: str) -> None:
    folder = run.new_folder(part, "a test")
    (folder / "file").write_text(text, encoding="utf-8")
    assert {leak.file for leak in run.leaks()} == {str((folder / "file").relative_to(run.root))}


def test_leaks_never_shows_the_secret(run: RunDirectory) -> None:
    (run.root / "agent" / "file").write_text(SECRET, encoding="utf-8")
    assert SECRET not in repr(run.leaks())


def test_leaks_with_signed_url_finds_it(run: RunDirectory) -> None:
    text = "GET /?Action=X&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D&Format=JSON"
    (run.root / "captured" / "file").write_text(text, encoding="utf-8")
    assert [leak.what for leak in run.leaks()] == ["a signed URL"]


def test_leaks_in_clean_run_are_none(run: RunDirectory) -> None:
    (run.root / "agent" / "file").write_text("all is well; Signature= is empty", encoding="utf-8")
    assert run.leaks() == ()


def test_secrets_from_several_simulators_are_all_known(run: RunDirectory) -> None:
    (run.secrets_folder / "4711").write_text("plain-line-secret\nshort\n", encoding="utf-8")
    assert run.secrets() == tuple(sorted((SECRET, "plain-line-secret")))
