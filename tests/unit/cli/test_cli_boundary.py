"""What the border says when a command does not come to its end."""

from __future__ import annotations

import io
import json

import pytest

from snap_self.cli.boundary import tell_interrupted
from snap_self.output.streams import Streams, make_streams


def _streams(*, as_json: bool) -> Streams:
    return make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=0, json=as_json)


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_signal_when_json_is_asked_for_then_there_is_one_object_with_the_status(
    number: int, status: int
) -> None:
    streams = _streams(as_json=True)
    assert tell_interrupted(streams, number) == status
    said = json.loads(streams.out.getvalue())  # type: ignore[attr-defined]
    assert (said["exit_status"], said["error"]["code"]) == (status, "ended-by-signal")


def test_signal_when_text_is_asked_for_then_stdout_stays_empty() -> None:
    streams = _streams(as_json=False)
    tell_interrupted(streams, 15)
    assert streams.out.getvalue() == ""  # type: ignore[attr-defined]
    assert "SIGTERM" in streams.err.getvalue()  # type: ignore[attr-defined]
