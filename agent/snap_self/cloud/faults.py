"""The error that a call ends with: what it means to the user, and the cloud's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from snap_self.cloud.code_rows import Row
from snap_self.cloud.codes import find
from snap_self.cloud.retry import Trouble, is_expired_token
from snap_self.cloud.unreachable import mend, told
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudRefused,
    CloudUnreachable,
    SnapSelfError,
)
from snap_self.model.actions import ACTIONS, ANYTHING, TEMPLATE, Holder, Mark, Policy
from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.ids import DiskId
from snap_self.model.snapshots import OWNER_TAG, TEMPORARY_TAG
from snap_self.ports import RpcFailed

# A call that ends so was put off, not refused: it says nothing of an earlier try with its token.
PUT_OFF = (Trouble.THROTTLED, Trouble.BUSY, Trouble.SERVER_FAULT)
# Nor does any refusal of these: what an earlier try did may be what the quota is full of, or what
# the disk is now in use for. OOS does not document that a token is looked at before all else.
REFUSED_OPENLY = frozenset(
    {"CreateDisk", "AttachDisk", "DetachDisk", "ResetDisk", "StartExecution"}
)


def explain(
    failure: RpcFailed,
    *,
    action: str,
    trouble: Trouble,
    maybe_done: bool,
    about: Sequence[DiskId] = (),
    others: Mapping[Endpoint, NetFault] | None = None,
    holder: Holder = TEMPLATE,
) -> SnapSelfError:
    """Return the error that a call ends with.

    Args:
        trouble: what the retry policy made of the last failure.
        maybe_done: one of the tries may have taken effect.
        about: the disks that the call was about.
        others: hosts that were tried instead, with what is in the way there.
        holder: the instance whose policy would have to allow it.
    """
    known = ACTIONS.get(action)
    open_end = f"; {known.if_lost}" if maybe_done and known and known.if_lost else ""
    # A gateway says so by the status alone.
    code = failure.code or ("Throttling" if trouble is Trouble.THROTTLED else "")
    if code:
        error = _refused(code, failure, action, about, open_end=open_end, holder=holder)
        error.maybe_done = maybe_done and (trouble in PUT_OFF or action in REFUSED_OPENLY)
        return error
    tried = {host: fault for host, fault in (others or {}).items() if host.host != failure.host}
    message = "; ".join(filter(None, (failure.message, told(tried))))
    ways = (failure.way or NoWay.SILENCE, *(fault.way for fault in tried.values()))
    hint = f"{mend(ways)}{open_end}"
    what = f"{action} of {_disks(about)}" if about else action
    if trouble is Trouble.FINAL and failure.http_status:
        unclear = CloudAnswerUnclear(f"{what}: {message}", hint=hint)
        unclear.maybe_done = maybe_done
        return unclear
    return CloudUnreachable(f"{what} got no answer: {message}", hint=hint, maybe_done=maybe_done)


def retry_text(failure: RpcFailed, *, action: str, pause_s: float, throttled: bool = False) -> str:
    """Return a sentence for whoever watches: what failed and when it is tried again."""
    why = failure.code or failure.message
    if throttled:
        why += "; the account's calls of this kind are used up until the limit's next window"
    when = f"in {pause_s:.1f} s" if pause_s else "at once"
    return f"{action}: {why}; trying again {when}"


def refusal(
    code: str, message: str, *, action: str, hint: str = "", request_id: str = ""
) -> ApiFault:
    """Return what a code means that stands inside a good answer, of one of several things.

    Args:
        hint: in place of the code's own.
    """
    code = code or "no code"
    failure = RpcFailed(code=code, http_status=200, message=message, request_id=request_id)
    error = _refused(code, failure, action)
    error.hint = hint or error.hint
    return error


def _refused(
    code: str,
    failure: RpcFailed,
    action: str,
    about: Sequence[DiskId] = (),
    *,
    open_end: str = "",
    holder: Holder = TEMPLATE,
) -> ApiFault:
    meant = "InvalidSecurityToken.Expired" if is_expired_token(failure) else code
    row = find(meant, action) or _UNKNOWN
    # The cloud's message may name the one disk of a group that it is about.
    named = [disk_id for disk_id in about if disk_id in failure.message] or about
    subject = f" for {_disks(named)}" if named and "{disk}" not in row.message else ""
    texts = {
        "{action}": action,
        "{right}": known.ram_action if (known := ACTIONS.get(action)) else f"ecs:{action}",
        "{resources}": _resources(action, about, holder),
        "{policy}": _policy(action),
        "{disk}": _one_of(named),
        "{exclude}": f"--exclude {named[0]}" if len(named) == 1 else "--exclude",
        "{said}": subject + (f": {failure.message}" if failure.message else ""),
    }
    if "{said}" in row.message:
        subject = ""
    request = f"; request id {failure.request_id}" if row is _UNKNOWN and failure.request_id else ""
    error = row.error(
        f"{_filled(row.message, texts)}{subject} ({code}{request})",
        hint=_filled(row.hint, texts) + open_end,
        api_code=code,
        api_message=failure.message,
        request_id=failure.request_id,
    )
    error.action = known.ram_action if known else ""
    return error


_UNKNOWN = Row(
    error=CloudRefused,
    message="the cloud refused {action}{said}",
    hint="Alibaba Cloud support can look up the request id",
)


def _filled(text: str, texts: Mapping[str, str]) -> str:
    for name, value in texts.items():
        text = text.replace(name, value)
    return text


def _resources(action: str, about: Sequence[DiskId], holder: Holder) -> str:
    """Return what a policy must name for a call, and the condition that it should make."""
    known = ACTIONS.get(action)
    if known is None:
        return ANYTHING
    whose = replace(holder, disks=tuple(about) or holder.disks)
    return " and ".join(
        f"{' and '.join(names)}{_limit(mark, holder)}"
        for mark, names in known.grants(whose).items()
    )


def _limit(mark: Mark, holder: Holder) -> str:
    if mark is Mark.NONE:
        return ""
    key = OWNER_TAG if mark is Mark.OWN else TEMPORARY_TAG
    verb = "is asked to be" if mark is Mark.ASKED_TEMPORARY else "is"
    return f", where it {verb} tagged {key}={holder.instance_id}"


def _policy(action: str) -> str:
    known = ACTIONS.get(action)
    return (known.policy if known else Policy.CREATE).command


def _disks(about: Sequence[DiskId]) -> str:
    return f"disk{'s' if len(about) > 1 else ''} {', '.join(about)}"


def _one_of(named: Sequence[DiskId]) -> str:
    if not named:
        return "the disk"
    return f"disk {named[0]}" if len(named) == 1 else f"one of the disks {', '.join(named)}"
