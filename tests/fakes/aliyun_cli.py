"""Stands in for the ``aliyun`` command line over one instance, whose state is a dictionary.

It takes what the real one takes of ECS and prints what that prints: a table for ``--output``, and
for an error the lines of the SDK. The state tells faults: how the n-th call of an action fails.

* ``refused``: an answer of the API, and nothing done.
* ``unsent``: no answer, and nothing done.
* ``lost``: done, and no answer.
* ``odd``: an answer that leaves it open (``InternalError``), and done.

A script calls it dozens of times, so the program is a few lines of shell that hand the call to a
thread of the test's: starting an interpreter for each would take most of the time.

Source: https://github.com/aliyun/aliyun-cli, openapi/output_filter.go.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# How many looks it takes until a change is seen to be done.
LOOKS = 2


_PROGRAM = """\
#!/bin/sh
printf '%s\\0' "$@" >{folder}/ask
read -r status <{folder}/status
[ ! -s {folder}/out ] || cat {folder}/out
[ ! -s {folder}/err ] || cat {folder}/err >&2
exit "$status"
"""


class Refused(Exception):
    """The API answers with a code."""


class Ended(Exception):
    """The program ends with status 1, having printed this to standard error."""


@dataclass(slots=True)
class Aliyun:
    """The cloud behind the program."""

    state: dict[str, Any]


@contextmanager
def installed(program: Path, folder: Path) -> Iterator[Aliyun]:
    """Have the program there, for one caller at a time, as long as the block lasts.

    Args:
        folder: a new one, for what the program and the thread tell each other.
    """
    folder.mkdir()
    for name in ("ask", "status"):
        os.mkfifo(folder / name)
    program.write_text(_PROGRAM.format(folder=shlex.quote(str(folder))), "utf-8")
    program.chmod(0o755)
    behind, over = Aliyun({}), threading.Event()
    thread = threading.Thread(target=_serve, args=(behind, folder, over), daemon=True)
    thread.start()
    try:
        yield behind
    finally:
        over.set()
        # Whichever end it waits at, it goes on and ends.
        ends = [os.open(folder / name, os.O_RDWR | os.O_NONBLOCK) for name in ("ask", "status")]
        thread.join(0.2)
        for end in ends:
            os.close(end)
        thread.join()


def _serve(behind: Aliyun, folder: Path, over: threading.Event) -> None:
    while True:
        words = (folder / "ask").read_bytes().decode("utf-8").split("\0")[:-1]
        if over.is_set():
            return
        status, out, err = call(behind.state, words)
        (folder / "out").write_text(out, "utf-8")
        (folder / "err").write_text(err, "utf-8")
        (folder / "status").write_text(f"{status}\n", "utf-8")


def call(state: dict[str, Any], argv: list[str]) -> tuple[int, str, str]:
    """Make one call; return exit status, standard output and standard error."""
    try:
        return 0, _called(state, *argv), ""
    except Ended as ended:
        return 1, "", f"{ended}\n"
    except (KeyError, ValueError, TypeError, StopIteration):
        return 2, "", traceback.format_exc()


def _called(state: dict[str, Any], product: str, action: str, *rest: str) -> str:
    if product != "ecs":
        raise Ended(f"no product {product}")
    options = _options(list(rest))
    named = action if options.get("DryRun") != "true" else f"{action}-dry"
    state["calls"].append([named, options.get("DiskId", "")])
    count = sum(1 for each, _ in state["calls"] if each == named)
    how = next(
        (
            how
            for wanted, first, last, how in state["faults"]
            if wanted == named and first <= count <= last
        ),
        "",
    )
    try:
        if how == "refused":
            raise Refused("Forbidden.RAM")
        answer = {} if how == "unsent" else ACTIONS[action](state, options)
    except Refused as refused:
        _error(str(refused))
    if how in ("unsent", "lost"):
        raise Ended('ERROR: Post "https://ecs": net/http: request canceled')
    if how == "odd":
        _error("InternalError")
    return _printed(answer, options)


def _options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    while words:
        name, value, *words = words
        found[name.removeprefix("--")] = value
        if name == "--output":
            found["rows"], *words = words
    return found


def _error(code: str) -> NoReturn:
    raise Ended(
        f"ERROR: SDK.ServerError\nErrorCode: {code}\nRecommend: \nRequestId: 7\nMessage: no."
    )


def _printed(answer: dict[str, Any], options: dict[str, str]) -> str:
    if "output" not in options:
        return json.dumps(answer, indent="\t") + "\n"
    columns = options["output"].removeprefix("cols=").split(",")
    outer, inner = options["rows"].removeprefix("rows=").removesuffix("[]").split(".")
    rows = [columns, ["-" * len(each) for each in columns]]
    rows += [[_shown(row.get(each)) for each in columns] for row in answer[outer][inner]]
    return "".join(" | ".join(row) + "\n" for row in rows)


def _shown(value: Any) -> str:
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe_instances(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    instance = state["instance"]
    if instance["Status"] == "Stopping" and not state["hangs"]:
        _step(instance, "Stopped")
    elif instance["Status"] == "Starting":
        _step(instance, "Running")
    asked = json.loads(options["InstanceIds"])
    found = [instance] if instance["InstanceId"] in asked else []
    return {"Instances": {"Instance": found}}


def _step(thing: dict[str, Any], then: str) -> None:
    thing["looks"] = thing.get("looks", 0) + 1
    if thing["looks"] >= LOOKS:
        thing.update(Status=then, looks=0)


def _describe_disks(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    asked = json.loads(options["DiskIds"])
    found = [disk for disk in state["disks"] if disk["DiskId"] in asked]
    for disk in found:
        if disk["Status"] == "ReIniting":
            _step(disk, state["after_reset"])
    return {"Disks": {"Disk": found}}


def _describe_snapshots(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    asked = json.loads(options["SnapshotIds"])
    return {"Snapshots": {"Snapshot": [s for s in state["snapshots"] if s["SnapshotId"] in asked]}}


def _stop(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    instance = state["instance"]
    if options.get("StoppedMode") != "KeepCharging":
        raise Ended("stopped in economical mode")
    if instance["Status"] not in ("Running", "Stopping"):
        raise Refused("IncorrectInstanceStatus")
    if options.get("ForceStop") == "true":
        state["hangs"] = False
    instance.update(Status="Stopping", looks=0)
    return {}


def _start(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    if state["instance"]["Status"] != "Stopped":
        raise Refused("IncorrectInstanceStatus")
    state["started_with"].append([[d["holds"], d["Status"]] for d in state["disks"]])
    state["instance"].update(Status="Starting", looks=0)
    return {}


def _reset(state: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    disk = next(each for each in state["disks"] if each["DiskId"] == options["DiskId"])
    if state["instance"]["Status"] != "Stopped":
        raise Refused("IncorrectInstanceStatus")
    if disk["Status"] not in ("In_use", "ReInitFailed"):
        raise Refused("IncorrectDiskStatus")
    if options.get("DryRun") == "true":
        raise Refused("DryRunOperation")
    status = "In_use" if state["instant"] else "ReIniting"
    disk.update(Status=status, holds=options["SnapshotId"], looks=0)
    return {}


ACTIONS = {
    "DescribeInstances": _describe_instances,
    "DescribeDisks": _describe_disks,
    "DescribeSnapshots": _describe_snapshots,
    "StopInstance": _stop,
    "StartInstance": _start,
    "ResetDisk": _reset,
}
