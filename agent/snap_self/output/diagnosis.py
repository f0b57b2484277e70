"""The text form of the doctor's findings."""

from __future__ import annotations

from snap_self.errors import ExitStatus
from snap_self.output.streams import Streams
from snap_self.usecases.doctor import Diagnosis, Verdict


def write_diagnosis(streams: Streams, diagnosis: Diagnosis) -> None:
    """Write every check with its verdict, each failed one with its mend."""
    for finding in diagnosis.findings:
        streams.data(f"{_MARK[finding.verdict]}  {finding.check}: {finding.text}")
        if finding.hint and finding.verdict is not Verdict.OK:
            streams.data(f"      -> {finding.hint}")
    status = diagnosis.exit_status
    warnings = sum(finding.verdict is Verdict.WARN for finding in diagnosis.findings)
    if status is ExitStatus.DONE:
        heed = f" Heed the {warnings} marked warn." if warnings else ""
        streams.message(f"Ready: the main job can run.{heed}")
    else:
        streams.message(f"Not ready: the main job would end with status {int(status)}.")


_MARK = {
    Verdict.OK: "ok  ",
    Verdict.WARN: "warn",
    Verdict.FAIL: "FAIL",
    Verdict.SKIPPED: "skip",
}
