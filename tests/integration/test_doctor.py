"""What doctor says of credentials, beside a simulated ECS."""

from __future__ import annotations

from collections.abc import Sequence

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
