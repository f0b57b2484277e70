"""Stands in for the ``aliyun`` command line over one instance, whose state is a JSON file.

It takes what the real one takes of ECS and prints what that prints: a table for ``--output``, and
for an error the lines of the SDK. The state tells faults: how the n-th call of an action fails.

* ``refused``: an answer of the API, and nothing done.
* ``unsent``: no answer, and nothing done.
* ``lost``: done, and no answer.
* ``odd``: an answer that leaves it open (``InternalError``), and done.

Source: https://github.com/aliyun/aliyun-cli, openapi/output_filter.go.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

# How many looks it takes until a change is seen to be done.
LOOKS = 2


class Refused(Exception):
    """The API answers with a code."""


def main(argv: list[str]) -> None:
    """Make one call."""
    state = json.loads(_place().read_text("utf-8"))
    product, action, *rest = argv
    if product != "ecs":
        raise SystemExit(f"no product {product}")
    options = _options(rest)
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
        _save(state)
        _error(str(refused))
    _save(state)
    if how in ("unsent", "lost"):
        sys.stderr.write('ERROR: Post "https://ecs": net/http: request canceled\n')
        raise SystemExit(1)
    if how == "odd":
        _error("InternalError")
    _print(answer, options)


def _options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    while words:
        name, value, *words = words
        found[name.removeprefix("--")] = value
        if name == "--output":
            found["rows"], *words = words
    return found


def _place() -> Path:
    return Path(os.environ["ALIYUN_STATE"])


def _save(state: dict[str, Any]) -> None:
    _place().write_text(json.dumps(state), "utf-8")


def _error(code: str) -> NoReturn:
    sys.stderr.write(
        f"ERROR: SDK.ServerError\nErrorCode: {code}\nRecommend: \nRequestId: 7\nMessage: no.\n"
    )
    raise SystemExit(1)


def _print(answer: dict[str, Any], options: dict[str, str]) -> None:
    if "output" not in options:
        print(json.dumps(answer, indent="\t"))
        return
    columns = options["output"].removeprefix("cols=").split(",")
    outer, inner = options["rows"].removeprefix("rows=").removesuffix("[]").split(".")
    print(" | ".join(columns))
    print(" | ".join("-" * len(each) for each in columns))
    for row in answer[outer][inner]:
        print(" | ".join(_shown(row.get(each)) for each in columns))


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
        raise SystemExit("stopped in economical mode")
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

if __name__ == "__main__":
    main(sys.argv[1:])
