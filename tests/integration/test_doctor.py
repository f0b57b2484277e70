"""What doctor says of credentials, beside a simulated ECS."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes.main_job import main_job
from snap_self.errors import ExitStatus, NoCredentials
from snap_self.usecases.doctor import Verdict, diagnose


def _none() -> Sequence[tuple[str, str]]:
    raise NoCredentials("no credentials found", details="environment: not set\nOIDC: not set")


def test_doctor_when_no_source_gives_keys_then_names_each_and_tells_it_once() -> None:
    with main_job() as job:
        found = diagnose(job.tools, credentials=_none, root=True, try_freeze=None)
    said = {finding.check: finding for finding in found.findings}
    assert "environment: not set; OIDC: not set" in said["credentials"].text
    assert said["api"].verdict is Verdict.SKIPPED
    assert found.exit_status is ExitStatus.CREDENTIALS


@pytest.mark.parametrize(
    ("missing", "verdict", "words"),
    [
        ([], Verdict.OK, "in place for apt, dnf4"),
        (["zypper"], Verdict.WARN, "zypper: risky changes get no snapshot"),
    ],
)
def test_doctor_tells_which_hooks_are_in_place(
    missing: list[str], verdict: Verdict, words: str
) -> None:
    def look() -> tuple[list[str], list[str]]:
        return ["apt", "dnf4"], missing

    with main_job() as job:
        found = diagnose(job.tools, credentials=list, root=True, try_freeze=None, hooks=look)
    said = {finding.check: finding for finding in found.findings}["hooks"]
    assert said.verdict is verdict
    assert words in said.text
    assert bool(said.hint) == bool(missing)
