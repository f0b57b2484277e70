"""A RAM policy and what is to be done with it, as text and as JSON (schema 1)."""

from __future__ import annotations

from typing import Any

from snap_self.access.documents import as_read, as_sent
from snap_self.access.setup import PolicyKind, RollbackSetup
from snap_self.model.actions import ANYTHING
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.streams import Streams
from snap_self.usecases.policy import PolicyReport

WHOSE = {
    PolicyKind.ROLE: "The policy of the role of {instance}, for {disks}.",
    PolicyKind.FLEET: "The policy of one role for all that is tagged {tag} in {region}.",
    PolicyKind.SESSION: "What narrows a shared role to {instance} and {disks}.",
}


def write_policy(streams: Streams, report: PolicyReport) -> None:
    """Write the policy alone to standard output, and the steps to standard error."""
    if streams.json:
        write_json(streams, policy_json(report))
        return
    streams.data(*_document(report).split("\n"))
    streams.message("", _whose(report))
    for warning in report.warnings:
        streams.message(f"Note: {warning.text}.")
    setup = report.setup
    if report.rollback:
        streams.message("", f"The policy of role {report.rollback.role}, which OOS is given:", "")
        streams.message(*as_read(report.rollback.document).split("\n"))
    if not setup.lines:
        streams.message("", "So there are no commands: they would fail half-way.")
        return
    streams.message("", f"Where {_whose_keys(report)} are, not on the instance:", "")
    streams.message(*setup.lines)
    if report.rollback:
        streams.message("", "And, for the role that OOS is given:", "", *report.rollback.lines)
    if setup.update:
        streams.message(
            "", "If that policy is there from before, in place of all but the first:", ""
        )
        streams.message(setup.update)
        if report.rollback:
            streams.message(report.rollback.update)
    if setup.console:
        streams.message("", "Or in the console:")
        steps = (*setup.console, *(report.rollback.console if report.rollback else ()))
        streams.message(*(f"  {n}. {step}" for n, step in enumerate(steps, 1)))
    streams.message("", "Then, on the instance: snap-self doctor")


def policy_json(report: PolicyReport) -> dict[str, Any]:
    """Return the same as a JSON object."""
    holder, setup, fleet = report.holder, report.setup, report.fleet
    return {
        **envelope("policy"),
        "kind": report.kind.value,
        "instance": {"id": holder.instance_id, "region": holder.region, "account": holder.account},
        "disks": list(holder.disks),
        "fleet": fleet and {"key": fleet.key, "value": fleet.value},
        "policy": report.document,
        "characters": report.characters,
        "limit": report.limit,
        "role": {"name": setup.role, "bound": bool(report.bound)},
        "policy_name": setup.policy or None,
        "commands": list(setup.lines),
        "update_command": setup.update or None,
        "console": list(setup.console),
        "rollback": report.rollback and _rollback_json(report.rollback),
        "warnings": [{"code": one.doubt.value, "text": one.text} for one in report.warnings],
    }


def _rollback_json(rollback: RollbackSetup) -> dict[str, Any]:
    return {
        "role": rollback.role,
        "policy": rollback.document,
        "commands": list(rollback.lines),
        "update_command": rollback.update,
        "console": list(rollback.console),
    }


def _document(report: PolicyReport) -> str:
    """Return the readable text, unless it is that which makes it too long."""
    text = as_read(report.document)
    return text if len(text) <= report.limit else as_sent(report.document)


def _whose_keys(report: PolicyReport) -> str:
    account = report.holder.account
    whose = "" if account == ANYTHING else f" of account {account}"
    return f"an administrator's keys{whose}"


def _whose(report: PolicyReport) -> str:
    count = len(report.holder.disks)
    return WHOSE[report.kind].format(
        instance=report.holder.instance_id,
        region=report.holder.region,
        disks=f"{count} disk{'' if count == 1 else 's'}",
        tag=f"{report.fleet.key}={report.fleet.value}" if report.fleet else "",
    )
