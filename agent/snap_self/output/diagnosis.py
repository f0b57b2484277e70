"""The doctor's findings, as text and as JSON (schema 1)."""

from __future__ import annotations

from typing import Any

from snap_self.errors import code_of
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.output.jsonform import envelope, error_json, write_json
from snap_self.output.streams import Streams
from snap_self.usecases.doctor import Diagnosis, Readiness, Verdict


def write_diagnosis(streams: Streams, diagnosis: Diagnosis) -> None:
    """Write every check with its verdict, each failed one with its mend."""
    if streams.json:
        write_json(streams, diagnosis_json(diagnosis), error=_failure(diagnosis))
        return
    for finding in diagnosis.findings:
        streams.data(f"{_MARK[finding.verdict]}  {finding.check}: {finding.text}")
        if finding.hint and finding.verdict is not Verdict.OK:
            streams.data(f"      -> {finding.hint}")
        if finding.error and finding.error.said:
            streams.data(f"      the cloud said {finding.error.said}")
    streams.message(_conclusion(diagnosis))


def _conclusion(diagnosis: Diagnosis) -> str:
    """Return whether the main job can run, and no more than was seen."""
    warnings = sum(finding.verdict is Verdict.WARN for finding in diagnosis.findings)
    heed = f" Heed the {warnings} marked warn." if warnings else ""
    if diagnosis.readiness is Readiness.NO:
        return f"Not ready: the main job would end with status {int(diagnosis.exit_status)}."
    if diagnosis.readiness is Readiness.YES:
        return f"Ready: the main job can run.{heed}"
    return f"Nothing is in the way; whether snapshots may be created is not known yet.{heed}"


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the doctor's findings as a JSON object."""
    failure = _failure(diagnosis)
    return {
        **envelope(
            "doctor",
            exit_status=diagnosis.exit_status,
            result=Result.FAILED if failure else Result.DONE,
            error=failure,
        ),
        "ready": diagnosis.readiness.value,
        "installation": _installation(diagnosis),
        "checks": [
            {
                "check": f.check,
                "verdict": f.verdict.value,
                "text": f.text,
                "hint": f.hint,
                "error": f.error and error_json(f.error),
            }
            for f in diagnosis.findings
        ],
    }


def _installation(diagnosis: Diagnosis) -> dict[str, Any] | None:
    found = diagnosis.installation
    if found is None:
        return None
    return {"by": found.by.value, "folder": found.folder, "whole": found.is_whole}


def _failure(diagnosis: Diagnosis) -> ErrorReport | None:
    """Return what the main job would fail with: the first failed check."""
    for finding in diagnosis.findings:
        if finding.verdict is Verdict.FAIL:
            code = code_of(finding.exit_status)
            text, hint = finding.text, finding.hint
            return finding.error or ErrorReport(code=code, message=text, hint=hint)
    return None


_MARK = {
    Verdict.OK: "ok  ",
    Verdict.WARN: "warn",
    Verdict.FAIL: "FAIL",
    Verdict.SKIPPED: "skip",
}
