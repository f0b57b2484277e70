"""One JSON Schema a command (draft 2020-12), each whole in itself, so that one file is enough.

A reader's schema allows fields that it does not know, since fields are added; tests close it and
hold what each command really says against it. All fields of a schema are always there.
Source: https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

Schema = dict[str, Any]
# What has no object of its own, as a group of commands, says no more than this.
ENVELOPE = "envelope"
# Started by the hooks alone.
INTERNAL = "hook covers"
FILE = "{name}.schema.json"


def schemas() -> Mapping[str, str]:
    """Return the text of each schema file, by its name."""
    made = {
        FILE.format(name=ENVELOPE): _text(_whole("any command", {"type": "string"}, {}, _WORDS))
    }
    for command, (words, own) in _commands().items():
        schema = _whole(f"snap-self {command}", {"const": command}, own(), words)
        made[file_of(command)] = _text(schema)
    return made


def described() -> Sequence[str]:
    """Return the commands that people start, as JSON names them."""
    return [command for command in _commands() if command != INTERNAL]


def file_of(command: str) -> str:
    """Return the name of a command's schema file; of the command as JSON names it."""
    return FILE.format(name=command.replace(" ", "-"))


def _commands() -> Mapping[str, tuple[tuple[str, ...], Callable[[], Schema]]]:
    """Return what ``result`` may be and the command's own fields, by its name in JSON."""
    made = ("done", "reused", "resumed", "asked", "partial", "failed")
    plain = ("done", "failed")
    return {
        "snapshot": (made, _job),
        "plan": (("planned", "failed"), _job),
        "run": (made, _run),
        "list": (plain, _list),
        "show": (plain, _show),
        "diff": (("done", "partial", "failed"), _diff),
        "prune": (("done", "planned", "partial", "failed"), _prune),
        "restore": (("done", "planned", "partial", "failed"), _restore),
        "rollback": (("done", "planned", "partial", "failed"), _rollback),
        "confirm": (plain, _confirm),
        "mount": (plain, _mount),
        "verify": (("done", "partial", "failed"), _verify),
        "unmount": (("done", "partial", "failed"), _unmount),
        "doctor": (plain, _doctor),
        "notify": (("done", "partial", "failed"), _notify),
        "policy": (plain, _policy),
        "check": (plain, _check),
        "reset": (plain, _reset),
        "thaw": (plain, _thaw),
        "config check": (plain, _config_check),
        "hook status": (plain, _hook_status),
        "hook enable": (plain, _hook_switch),
        "hook disable": (plain, _hook_switch),
        "hook covers": (plain, _hook_covers),
        "version": (("done",), _version),
    }


_WORDS = ("done", "planned", "reused", "resumed", "asked", "partial", "failed")


# --- what schemas are made of ----------------------------------------------------------------

TEXT: Schema = {"type": "string"}
SENTENCE: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "array", "items": TEXT}
TRUTH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
STATUS: Schema = {"type": "integer", "minimum": 0, "maximum": 255}
INSTANT: Schema = {
    "description": "UTC, to the second.",
    "type": "string",
    "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$",
}


def _id(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}-"}


def _object(fields: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": list(fields), "properties": dict(fields)}


def _many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _or_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str) and schema["type"] != "object":
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {"oneOf": [{"type": "null"}, schema]}


def _told(schema: Schema, description: str) -> Schema:
    return {"description": description, **schema}


def _word(kind: type[Enum]) -> Schema:
    return {"enum": [each.value for each in kind if each.value]}


def _whole(title: str, command: Schema, own: Schema, results: tuple[str, ...]) -> Schema:
    error = _object(
        {
            "code": _told(
                {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
                "Does not change; the manual lists all.",
            ),
            "message": SENTENCE,
            "hint": _told(TEXT, "What to do about it; may be empty."),
            "api_code": _told(_or_null(TEXT), "The ECS API's own words, where it said some."),
            "api_message": _or_null(TEXT),
            "request_id": _told(_or_null(TEXT), "What Alibaba Cloud's support asks for."),
            "action": _told(
                _or_null(TEXT), "What a RAM policy calls the operation that was refused."
            ),
        }
    )
    envelope: Schema = {
        "schema": {"const": 1},
        "command": _told(command, "Which command it was, and so which schema this is."),
        "exit_status": _told(STATUS, "What the process ends with."),
        "result": {"enum": list(results)},
        "error": _told(_or_null(error), "What failed; null where nothing did."),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"What {title} says with --json",
        "description": "Fields are only ever added.",
        **_object({**envelope, **own}),
    }


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2) + "\n"


# --- the main job ----------------------------------------------------------------------------


def _job() -> Schema:
    from snap_self.model.asked import Asked, CutUnseen

    run = {
        "id": _or_null(TEXT),
        "before": _told(_or_null(TEXT), "The text of --before."),
        "started": _or_null(INSTANT),
        "finished": _or_null(INSTANT),
    }
    gap = {"what": TEXT, "kind": TEXT, "why": SENTENCE}
    interrupted = {"signal": TEXT, "asked": _or_null(_word(Asked))}
    step = {"name": TEXT, "reason": TEXT, "seconds": _or_null(SECONDS), "result": TEXT}
    watch = {"held": TRUTH, "until": _or_null(INSTANT), "why": TEXT}
    unseen = {"reason": _word(CutUnseen), "why": SENTENCE}
    level = _or_null(_level())
    return {
        "of_earlier": _told(TRUTH, "An earlier run's snapshots serve; none was made now."),
        "run": _object(run),
        "instance": _or_null(_instance()),
        "disks": _many(_disk()),
        "skipped": _told(
            _many(_object({"disk_id": _id("d"), "why": SENTENCE, "asked": TRUTH})),
            "Disks that were left out; asked: by whoever started it.",
        ),
        "not_covered": _told(
            _many(_object({**gap, "left_out": TRUTH})),
            "Filesystems and devices with data that no snapshot holds; left_out makes it partial.",
        ),
        "excluded": _told(
            _many(_object({**gap, "paths": TEXTS})), "The same, left out as was asked for."
        ),
        "snapshots": _many(_snapshot()),
        "consistency": _object({"asked": level, "reached": level, "why": TEXT}),
        "steps": _many(_object(step)),
        "frozen_s": _told(_or_null(SECONDS), "How long filesystems were frozen; null if none was."),
        "undo": _told(TEXTS, "The way back in place, line by line."),
        "notes": TEXTS,
        "watch": _told(_or_null(_object(watch)), "Who watches an upload; null if none goes on."),
        "applications": _many(_application()),
        "unseen": _told(
            _or_null(_object(unseen)), "Why no cut was seen, where the result is asked."
        ),
        "interrupted": _told(
            _or_null(_object(interrupted)), "Which signal ended it, and what was asked for by then."
        ),
        "armed": _told(
            _or_null(_armed()), "What goes back by itself unless somebody confirms, if any."
        ),
    }


def _run() -> Schema:
    number: Schema = {"type": "integer", "minimum": 1, "maximum": 64}
    cmd = {
        "argv": TEXTS,
        "status": _told(_or_null(STATUS), "Null where a signal ended it, or it was not started."),
        "signal": _or_null(number),
        "seconds": _or_null(SECONDS),
    }
    return {
        **_job(),
        "snapshot_exit_status": _told(
            _or_null(STATUS), "What the main job alone ends with; null if it did not begin."
        ),
        "cmd": _told(_object(cmd), "The command that was run."),
        "confirmed": _told(
            _or_null(TRUTH), "Its check has called the rollback off; null: none was armed."
        ),
    }


def _level() -> Schema:
    from snap_self.model.snapshots import Consistency

    return _word(Consistency)


def _instance() -> Schema:
    return _object({"id": _id("i"), "region": TEXT, "zone": TEXT})


def _disk() -> Schema:
    return _object(
        {
            "disk_id": _id("d"),
            "device": _or_null(TEXT),
            "serial": TEXT,
            "size_gib": COUNT,
            "category": TEXT,
            "mounts": _many(_object({"path": TEXT, "fstype": TEXT})),
        }
    )


def _snapshot() -> Schema:
    from snap_self.model.report import GONE
    from snap_self.model.retention import Retention
    from snap_self.model.snapshots import Cut, SnapshotStatus

    return _object(
        {
            "snapshot_id": _or_null(_id("s")),
            "group_id": _or_null(_id("ssg")),
            "disk_id": _id("d"),
            "status": {"enum": [*(each.value for each in SnapshotStatus), GONE]},
            "progress": _or_null(PERCENT),
            "available": TRUTH,
            "cut": _word(Cut),
            "cut_time": _or_null(INSTANT),
            "expires": _or_null(INSTANT),
            "retention": _word(Retention),
        }
    )


def _application() -> Schema:
    return _object(
        {
            "kind": TEXT,
            "data_dir": TEXT,
            "pid": {"type": "integer", "minimum": 1},
            "uid": COUNT,
            "account": TEXT,
            "executable": TEXT,
            "at_rest": TRUTH,
            "why": TEXT,
        }
    )


# --- what there is ---------------------------------------------------------------------------


def _list() -> Schema:
    return {
        "instance": _or_null(_instance()),
        "snapshots": _many(_listed()),
        "went_back": _told(
            _many(_return()), "When OOS brought disks back, the latest first, as far as is known."
        ),
        "armed": _told(_many(_armed()), "What goes back by itself unless somebody confirms."),
        "unknown": _told(
            _many(_listed()),
            "What carries this instance's tag and is not known to be of it; it counts for nothing.",
        ),
        "notes": TEXTS,
    }


def _return() -> Schema:
    from snap_self.model.executions import Back

    lost = {"id": SENTENCE, "before": TEXT, "cut_time": _or_null(INSTANT)}
    return _object(
        {
            "run": _told(SENTENCE, "The run that was gone back to."),
            "before": TEXT,
            "execution_id": SENTENCE,
            "status": _told(TEXT, "The execution's, in the API's word: Success, Failed, Running."),
            "disks_back": _told(
                _or_null(_word(Back)),
                "How many disks went back; part: some did, or may have. Null while it goes on, and "
                "where it is not known.",
            ),
            "message": _told(_or_null(TEXT), "Why it failed, in the API's words."),
            "by": _told(_or_null(TEXT), "Who started it, in the API's words."),
            "began": _or_null(INSTANT),
            "ended": _told(_or_null(INSTANT), "Null while it goes on."),
            "lost_since": _told(
                _or_null(INSTANT), "What was written since is lost; null where it is not known."
            ),
            "lost_runs": _told(
                _many(_object(lost)),
                "Runs whose time the disks have no more; their snapshots stay.",
            ),
        }
    )


def _listed() -> Schema:
    from snap_self.model.listed import SnapshotState
    from snap_self.model.retention import Retention
    from snap_self.model.snapshots import Cut
    from snap_self.model.verification import Verdict

    return _object(
        {
            "snapshot_id": _id("s"),
            "group_id": _or_null(_id("ssg")),
            "run_id": _or_null(TEXT),
            "disk_id": _id("d"),
            "before": TEXT,
            "consistency": _level(),
            "state": _word(SnapshotState),
            "progress": _or_null(PERCENT),
            "cut": _word(Cut),
            "cut_time": _or_null(INSTANT),
            "size_gib": _told(COUNT, "Of its disk; 0 where the cloud does not tell."),
            "expires": _told(_or_null(INSTANT), "Null where it is kept for ever."),
            "retention": _word(Retention),
            "used_by": _or_null(TEXT),
            "outcome": _told(_or_null(TEXT), "What came of the change, in words."),
            "open_at": _told(_or_null(TEXT), "Where a copy of it is mounted now."),
            "partial": _told(
                _or_null(TRUTH),
                "Whether its run lacks something that nobody excluded (status 101), or a part of "
                "it failed; null where the journal does not tell.",
            ),
            "verified": _told(
                _or_null(_object({"at": INSTANT, "result": _word(Verdict)})),
                "What the last `verify` has proved of it; null if there was none.",
            ),
        }
    )


def _show() -> Schema:
    from snap_self.model.asked import CutUnseen

    unseen = {"reason": _word(CutUnseen), "why": SENTENCE}
    run = {
        "id": SENTENCE,
        "before": TEXT,
        "started": _or_null(INSTANT),
        "finished": _or_null(INSTANT),
        "result": _told(TEXT, "Empty where the run has not ended."),
        "exit_status": _or_null(STATUS),
        "explained": TEXT,
        "outcome": TEXT,
        "kept": _told(
            {"type": "object", "additionalProperties": TEXT}, "Files that a restore needs, by name."
        ),
        "upload": TEXT,
        "unseen": _or_null(_object(unseen)),
        "rollback": _told(
            _or_null(_object({"asked": INSTANT, "execution_id": _or_null(TEXT)})),
            "The last one to it that was asked of OOS.",
        ),
        "armed": _told(_or_null(_armed_run()), "The last one that was to wait, if any."),
    }
    way = {
        "title": SENTENCE,
        "cautions": TEXTS,
        "console": TEXTS,
        "commands": TEXTS,
        "after": TEXTS,
    }
    package = {"name": TEXT, "action": TEXT, "arch": TEXT, "from": TEXT, "to": TEXT}
    lack = {"what": TEXT, "why": _or_null(TEXT)}
    change = {"at": TEXT, "program": TEXT, "packages": _many(_object(package))}
    return {
        "snapshots": _many(_listed()),
        "unknown": _told(
            _or_null(TRUTH), "They carry this instance's tag, and are not known to be of it."
        ),
        "run": _told(_or_null(_object(run)), "Null where the journal has none."),
        "lacks": _told(TEXTS, "Mount points of what no way brings back."),
        "lack_reasons": _told(_many(_object(lack)), "The same, each with why it is not in it."),
        "undo": _told(TEXTS, "The way back in place, line by line."),
        "ways": _told(_many(_object(way)), "Every way back."),
        "changes": _told(_many(_object(change)), "Package managers' changes it was made for."),
        "since": _told(
            _or_null(_since()), "What differed after the change; null where it was not noted."
        ),
        "went_back": _told(
            _or_null(_return()), "That disks went back to this run; null where that is not known."
        ),
        "lost_by": _told(
            _or_null(TEXT), "The run that disks went back to after this one; null if to none."
        ),
        "notes": TEXTS,
    }


def _since() -> Schema:
    from snap_self.model.differences import Part

    return _object(
        {
            "taken": INSTANT,
            "different": TRUTH,
            "text": SENTENCE,
            "counts": _object({part.value: COUNT for part in Part}),
            "not_compared": _many(_word(Part)),
        }
    )


def _prune() -> Schema:
    shot = {
        "snapshot_id": _id("s"),
        "disk_id": _id("d"),
        "cut_time": _or_null(INSTANT),
        "expires": _or_null(INSTANT),
        "deleted": TRUTH,
        "why_not": _or_null(TEXT),
    }
    step = {
        "action": {"enum": ["delete", "keep"]},
        "reason": TEXT,
        "group_id": _or_null(_id("ssg")),
        "run_id": _or_null(TEXT),
        "before": TEXT,
        "snapshots": _many(_object(shot)),
    }
    return {
        "instance": _or_null(_instance()),
        "steps": _many(_object(step)),
        "notes": TEXTS,
    }


def _diff() -> Schema:
    from snap_self.model.differences import Doubt, Part, Side

    looked = {
        "run": _told(_or_null(TEXT), "Null for the machine as it is now."),
        "before": _told(TEXT, "What its snapshot was made for."),
        "instance": _or_null(_id("i")),
        "taken": INSTANT,
        "complete": _told(TRUTH, "Every part was read to its end."),
    }
    not_compared = {
        "part": _word(Part),
        "reason": _word(Doubt),
        "of": _told(_word(Side), "Whose lack it is."),
        "why": SENTENCE,
        "names": _told(TEXTS, "Empty where it is the part."),
    }
    return {
        "different": _told(_or_null(TRUTH), "As far as it was compared."),
        "before": _or_null(_object(looked)),
        "after": _or_null(_object(looked)),
        "all": _told(_or_null(TRUTH), "What changes by itself counts too."),
        "paths": _told(TEXTS, "Nothing else was asked for; empty for all."),
        **{part.value: _many(_differing(_FACTS.get(part.value, TEXT))) for part in Part},
        "not_compared": _told(_many(_object(not_compared)), "Neither equal nor different."),
        "outside": _told(TEXTS, "Paths of which a manifest has nothing."),
        "contents": _told(_or_null(_object(_content())), "Null where no snapshot was opened."),
        "unread": _told(TEXTS, "Paths whose contents only the snapshot tells, which was not read."),
        "disks": _told(_many(_temporary_disk()), "What was made to read it."),
        "notes": TEXTS,
    }


def _content() -> Mapping[str, Schema]:
    from snap_self.model.differences import Kind

    file = {
        "path": SENTENCE,
        "change": _word(Kind),
        "lines": _told(TEXTS, "A unified diff."),
        "why": _told(TEXT, "Why there are no lines; empty where there are."),
    }
    return {"files": _many(_object(file)), "same": COUNT, "notes": TEXTS}


def _differing(fact: Schema) -> Schema:
    from snap_self.model.differences import Aspect, Kind

    return _object(
        {
            "name": SENTENCE,
            "change": _word(Kind),
            "what": _many(_word(Aspect)),
            "from": _or_null(fact),
            "to": _or_null(fact),
            "usual": _told(TRUTH, "It changes by itself."),
        }
    )


# What an item of a part is then and now; of other parts it is a text.
_FACTS: Mapping[str, Schema] = {
    "packages": _object({"version": TEXT, "state": SENTENCE, "held": TRUTH}),
    "files": _object(
        {
            "mode": _told(
                {"type": "string", "pattern": "^[0-7]{6,}$"}, "As stat(2) has it, octal."
            ),
            "uid": COUNT,
            "gid": COUNT,
            "size": COUNT,
            "target": _told(TEXT, "Where a link leads."),
        }
    ),
    "boot": _object({"size": COUNT}),
    "mounts": _object({"source": TEXT, "fstype": TEXT, "options": TEXT}),
    "users": _object({"uid": COUNT, "gid": COUNT, "shell": TEXT, "groups": TEXTS}),
    "groups": COUNT,
}


# --- the machine -----------------------------------------------------------------------------


def _restore() -> Schema:
    from snap_self.model.copying import Change, Leaving

    restore = {
        "id": _told(SENTENCE, "What --undo takes."),
        "run": _or_null(TEXT),
        "source": _told(_or_null(TEXT), "The mount point of the filesystem that was opened."),
        "to": _told(_or_null(TEXT), "The directory of --to."),
        "aside": _told(_or_null(TEXT), "Where what was replaced is kept; null if nothing is."),
    }
    size = _told(_or_null(COUNT), "Bytes; null where it is no plain file, or none.")
    difference = {"path": TEXT, "kind": _word(Change), "size_before": size, "size_now": size}
    left = {"path": TEXT, "code": _word(Leaving), "why": SENTENCE}
    return {
        "restore": _or_null(_object(restore)),
        "disks": _many(_temporary_disk()),
        "differences": _told(_many(_object(difference)), "What is not as in the snapshot."),
        "same": _told(_or_null(COUNT), "How many files and directories are as they were."),
        "copied": _or_null(COUNT),
        "removed": _or_null(COUNT),
        "left_out": _told(_many(_object(left)), "What is not brought back, or not whole."),
        "kept": _told(
            _many(_object({"path": TEXT, "kept": TEXT})), "What was replaced, and where it is kept."
        ),
        "in_place": _told(TEXTS, "What was written in place, not replaced."),
        "caveats": _caveats(),
        "notes": TEXTS,
    }


def _temporary_disk() -> Schema:
    return _object(
        {
            "disk_id": _or_null(_id("d")),
            "snapshot_id": _id("s"),
            "source_disk_id": _id("d"),
            "size_gib": COUNT,
            "category": TEXT,
            "made": _or_null(INSTANT),
            "deleted": _told(TRUTH, "It costs nothing any more."),
            "seconds": _told(SECONDS, "How long it existed; 0 while it does."),
        }
    )


def _rollback() -> Schema:
    disk = {"disk_id": _id("d"), "snapshot_id": _id("s"), "mounts": TEXTS}
    staying = {"disk_id": _id("d"), "why": SENTENCE}
    later = {"id": TEXT, "before": TEXT, "cut_time": _or_null(INSTANT)}
    return {
        "run": _or_null(TEXT),
        "instance": _or_null(_instance()),
        "disks": _told(_many(_object(disk)), "What goes back, in that order."),
        "staying": _told(_many(_object(staying)), "Disks of the run that do not go back."),
        "lost_since": _told(
            _or_null(INSTANT), "Everything written since is lost; null where no cut is known."
        ),
        "later_runs": _told(_many(_object(later)), "Runs whose changes are undone with it."),
        "cautions": TEXTS,
        "console": TEXTS,
        "commands": TEXTS,
        "after": TEXTS,
        "script": _told(_or_null(TEXT), "The whole script, of --script."),
        "execution_id": _told(_or_null(TEXT), "What was started in OOS, of --oos."),
        "online": _told(_or_null(_object(_online())), "What was done, of --online."),
        "notes": TEXTS,
    }


def _online() -> Schema:
    from snap_self.model.going_back import Step

    return {
        "id": TEXT,
        "step": _word(Step),
        "units": _told(TEXTS, "What was stopped meanwhile."),
        "mounts": _told(TEXTS, "What was unmounted meanwhile."),
        "not_started": _told(TEXTS, "Units that did not start again, each with why."),
        "not_mounted": _told(
            TEXTS, "Why something is not mounted again though the disks went back."
        ),
        "beneath": _told(
            TEXTS, "Processes that go on with what lay at a place while nothing was mounted there."
        ),
        "present_run": _told(_or_null(TEXT), "The run that keeps the state before."),
        "ended": _or_null(INSTANT),
    }


def _armed_run() -> Schema:
    from snap_self.model.run import ArmedEnd

    return _object(
        {
            "asked": INSTANT,
            "deadline": INSTANT,
            "execution_id": _or_null(TEXT),
            "unconfirmed": _told(TRUTH, "It is not known to be called off."),
            "ended": _or_null(_word(ArmedEnd)),
            "check": _told(_or_null(TEXT), "The command whose success confirms."),
        }
    )


def _armed() -> Schema:
    return _object({"run": TEXT, "deadline": INSTANT, "execution_id": _or_null(TEXT)})


def _confirm() -> Schema:
    return {
        "called_off": _told(_many(_armed()), "What waited, and does so no more."),
        "armed": _told(_or_null(_armed()), "What waits now; null for nothing."),
        "checks": _told(TEXTS, "The checks that were run; all have succeeded."),
        "notes": TEXTS,
    }


def _mount() -> Schema:
    mount = {
        **_open_copy(),
        "source": _told(TEXT, "Where the filesystem itself is mounted."),
        "fstype": TEXT,
        "timed": _told(TRUTH, "systemd closes it in time; else the next command after that does."),
        "joined": _told(TRUTH, "It was open already."),
    }
    return {
        "mount": _or_null(_object(mount)),
        "disks": _many(_temporary_disk()),
        "caveats": _caveats(),
        "notes": TEXTS,
    }


def _caveats() -> Schema:
    from snap_self.model.opening import Note

    return _told(_many(_word(Note)), "What is not as it should be while the copy is open.")


def _verify() -> Schema:
    from snap_self.model.opening import CheckResult
    from snap_self.model.verification import Verdict

    verify = {
        "run": TEXT,
        "at": INSTANT,
        "result": _told(_word(Verdict), "What all of it comes to; proved is all that was asked."),
        "recorded": _told(TRUTH, "The journal has it, so list and show tell it."),
        "tagged": _told(TRUTH, "The snapshots carry it as the tag snap-self-verified."),
    }
    filesystem = {
        "source": _told(TEXT, "Its mount point; a disk of which nothing is mounted: its id."),
        "fstype": _or_null(TEXT),
        "snapshot_ids": _many(_id("s")),
        "result": _word(Verdict),
        "opened": _told(TRUTH, "A disk that was made of the snapshot was mounted."),
        "replayed": _told(TRUTH, "The kernel has replayed its log, and mounted it then."),
        "checked": _told(_or_null(_word(CheckResult)), "Of its checker; null: it was not asked."),
        "program": _or_null(TEXT),
        "check_status": _told(_or_null({"type": "integer"}), "The checker's own exit status."),
        "check_words": _told(_or_null(TEXT), "Its last words, unless all is well."),
        "files": _told(_or_null(_object(_file_proof())), "null: /etc does not lie there."),
        "code": _told(_or_null(TEXT), "The error that kept it from being opened."),
        "why": _or_null(TEXT),
        "caveats": _caveats(),
    }
    return {
        "verify": _or_null(_object(verify)),
        "filesystems": _many(_object(filesystem)),
        "disks": _many(_temporary_disk()),
        "notes": TEXTS,
    }


def _file_proof() -> dict[str, Schema]:
    return {
        "compared": _told(COUNT, "Names below /etc that the manifest and the copy have."),
        "equal": COUNT,
        "by_time": _told(COUNT, "Of the equal ones: large files, by size and time alone."),
        "different": _told(TEXTS, "They differ, and their time of change is older than the look."),
        "changed": _told(TEXTS, "They differ, and were changed between the look and the cut."),
        "unreadable": TEXTS,
        "not_known": _told(TEXTS, "Their content was not noted, or by another key."),
        "manifest_held": _told(
            _or_null(TRUTH), "The copy holds the run's manifest; null: it does not lie there."
        ),
        "why": _told(_or_null(TEXT), "Why less was compared than there is."),
    }


def _unmount() -> Schema:
    from snap_self.model.temporary import Purpose

    ended = {
        "id": SENTENCE,
        "purpose": _word(Purpose),
        "snapshot": TEXT,
        "mounted_at": _or_null(TEXT),
        "disks": _many(_temporary_disk()),
        "why": _told(TEXT, "Why something of it stays and costs money; empty if nothing does."),
    }
    return {
        "ended": _many(_object(ended)),
        "open": _told(_many(_object(_open_copy())), "What is still open."),
        "notes": TEXTS,
    }


def _open_copy() -> Schema:
    return {"id": SENTENCE, "snapshot": TEXT, "mounted_at": _or_null(TEXT), "until": INSTANT}


def _doctor() -> Schema:
    from snap_self.model.installation import InstalledBy
    from snap_self.usecases.doctor import Readiness

    error = {
        "code": TEXT,
        "message": TEXT,
        "hint": TEXT,
        "api_code": _or_null(TEXT),
        "api_message": _or_null(TEXT),
        "request_id": _or_null(TEXT),
        "action": _or_null(TEXT),
    }
    check = {
        "check": SENTENCE,
        "verdict": {"enum": ["ok", "warn", "fail", "skipped"]},
        "text": TEXT,
        "hint": TEXT,
        "error": _or_null(_object(error)),
    }
    installation = {"by": _word(InstalledBy), "folder": TEXT, "whole": TRUTH}
    return {
        "ready": _told(
            _or_null(_word(Readiness)),
            "Whether the main job can run: as-far-as-known where no create was seen to work.",
        ),
        "installation": _told(_or_null(_object(installation)), "How this snap-self came here."),
        "checks": _many(_object(check)),
    }


def _policy() -> Schema:
    from snap_self.access.setup import PolicyKind
    from snap_self.usecases.policy import PolicyDoubt

    instance = {"id": _id("i"), "region": TEXT, "account": _told(TEXT, "* where it is not known.")}
    role = {"name": SENTENCE, "bound": _told(TRUTH, "Whether the instance has it already.")}
    document: Schema = {"type": "object"}
    rollback = {
        "role": SENTENCE,
        "policy": document,
        "commands": TEXTS,
        "update_command": SENTENCE,
        "console": TEXTS,
    }
    return {
        "kind": _or_null(_word(PolicyKind)),
        "instance": _or_null(_object(instance)),
        "disks": _told(_many(_id("d")), "Those that the policy names."),
        "fleet": _told(_or_null(_object({"key": TEXT, "value": TEXT})), "The tag of a fleet."),
        "policy": _told(_or_null(document), "As RAM takes it."),
        "characters": _told(_or_null(COUNT), "Of the text that the commands send."),
        "limit": _told(_or_null(COUNT), "Most of them that the cloud takes."),
        "role": _or_null(_object(role)),
        "policy_name": _told(_or_null(TEXT), "Null where it is bound with the role."),
        "commands": _told(TEXTS, "Lines for one POSIX shell, in order."),
        "update_command": _told(
            _or_null(TEXT), "In place of all but the first, where the policy is there already."
        ),
        "console": _told(TEXTS, "The same by hand."),
        "rollback": _told(
            _or_null(_object(rollback)), "The role that OOS is given; null without --rollback."
        ),
        "warnings": _many(_object({"code": _word(PolicyDoubt), "text": SENTENCE})),
    }


def _check() -> Schema:
    from snap_self.watching.check import Kind, Status

    status: Schema = {"enum": [each.name.lower() for each in Status]}
    finding = {
        "kind": _word(Kind),
        "status": status,
        "disk_id": _or_null(_id("d")),
        "at": _or_null(INSTANT),
        "count": _or_null(COUNT),
        "text": SENTENCE,
        "hint": TEXT,
    }
    disk = {
        "disk_id": _id("d"),
        "snapshot_id": _told(_or_null(_id("s")), "The newest good one that is known here."),
        "run_id": _or_null(TEXT),
        "cut_time": _or_null(INSTANT),
        "age_s": _or_null(COUNT),
        "consistency": _or_null(_level()),
        "snapshots": _told(_or_null(COUNT), "As many as the disk was last seen to have."),
    }
    thresholds = {"warning_s": COUNT, "critical_s": COUNT, "level": _level()}
    return {
        "status": _told(_or_null(status), "As the exit status; null where the command failed."),
        "findings": _told(_many(_object(finding)), "Worst first; none where all is well."),
        "disks": _told(_many(_object(disk)), "The one whose newest is oldest first."),
        "thresholds": _or_null(_object(thresholds)),
        "written": _told(_or_null(INSTANT), "When the summary was put together."),
    }


def _reset() -> Schema:
    return {
        "state_dir": _told(_or_null(TEXT), "The directory that was emptied."),
        "forgotten": _many(
            _object(
                {
                    "part": _told(SENTENCE, "What was kept: ``runs``, ``manifests`` …"),
                    "files": _told(COUNT, "How many files of it are gone."),
                }
            )
        ),
        "strange": _told(TEXTS, "What lies there and is not snap-self's; it was left."),
        "asides": _told(TEXTS, "Directories with files that restores have replaced; they stay."),
        "notes": TEXTS,
    }


def _notify() -> Schema:
    from snap_self.model.notifying import Outcome, Sink

    told = {
        "to": _word(Sink),
        "event": _told(TEXT, "The kind of what was told; of a try it is test."),
        "outcome": _word(Outcome),
        "status": _told(
            _or_null({"type": "integer"}),
            "The HTTP status, or what the command ended with; below zero: by that signal.",
        ),
        "answer": _told(_or_null({"type": "integer"}), "The code in a robot's answer; 0: taken."),
        "why": _told(TEXT, "What went wrong; empty if nothing did."),
        "hint": _told(TEXT, "What to do about it; may be empty."),
    }
    return {"told": _told(_many(_object(told)), "Each who was to be told, and what became of it.")}


def _thaw() -> Schema:
    return {
        "thawed": _told(_or_null(TRUTH), "Whether a freeze was ended; null if not known."),
        "text": _told(TEXT, "What was ended."),
    }


def _hook_status() -> Schema:
    from snap_self.model.registration import Loaded, Placed

    faults = _many(_object({"text": SENTENCE, "mend": TEXT}))
    rehearsal = {
        "reached": _or_null(TRUTH),
        "stopped": _or_null(TRUTH),
        "skipped": TEXT,
        "why": TEXT,
    }
    hook = {
        "hook": SENTENCE,
        "manager": SENTENCE,
        "version": TEXT,
        "enabled": TRUTH,
        "on_failure": TEXT,
        "placed": _word(Placed),
        "files": _many(_object({"path": TEXT, "placed": _word(Placed)})),
        "loaded": _word(Loaded),
        "loaded_how": TEXT,
        "can_veto": TRUTH,
        "veto": TEXT,
        "faults": faults,
        "rehearsal": _or_null(_object(rehearsal)),
    }
    return {
        "limit_s": _or_null(SECONDS),
        "throttled_limit_s": _or_null(SECONDS),
        "spread_s": _or_null(SECONDS),
        "hooks": _many(_object(hook)),
        "absent": TEXTS,
        "skipped": _told(TEXT, "Why no change gets a snapshot at present; empty if they do."),
        "guard": faults,
        "configuration": _told(faults, "Faults of the configuration; the rest goes without them."),
        "guard_placed": _or_null(_word(Placed)),
    }


def _config_check() -> Schema:
    fault = _object(
        {
            "text": _told(SENTENCE, "The whole of it in a sentence."),
            "file": _told(_or_null(SENTENCE), "Null for the environment, and all files together."),
            "line": _told(_or_null({**COUNT, "minimum": 1}), "Null where it is not known."),
            "key": _told(
                _or_null(SENTENCE), "Section and key, or a variable, as written; null for neither."
            ),
            "accepted": _told(_or_null(SENTENCE), "What a known key takes, for people."),
        }
    )
    return {
        "files": _told(TEXTS, "Those that were there to be read."),
        "faults": _told(_many(fault), "All of them, in the order of reading."),
        "notes": TEXTS,
    }


def _hook_switch() -> Schema:
    return {
        "changed": _told(_or_null(TRUTH), "Whether the configuration was; null if not known."),
        "enabled": _told(TEXTS, "The package managers that are switched on now."),
        "placed": _told(TEXTS, "What was said of files that were placed."),
    }


def _hook_covers() -> Schema:
    ids = _many(_id("s"))
    return {
        "run": _or_null(TEXT),
        "serves": _or_null(TRUTH),
        "gone": ids,
        "failed": ids,
        "uncut": ids,
        "pending": _or_null(TRUTH),
    }


def _version() -> Schema:
    return {"version": SENTENCE}
