"""RAM policies: decides whether a principal may do an action on a resource. Pure.

Source: RAM "policy structure and syntax" and "policy evaluation": a Deny wins, then an Allow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ecs_simulator.config import PolicyDocument

ALLOW = "Allow"
EXPLICIT_DENY = "ExplicitDeny"
IMPLICIT_DENY = "ImplicitDeny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a call touches: ``kind`` and ``name`` as in ``acs:ecs:region:account:kind/name``."""

    kind: str
    name: str = "*"
    tags: Mapping[str, str] = field(default_factory=dict)


def context_of(
    resource: Resource, request_tags: Iterable[tuple[str, str]], *, product: str = "ecs"
) -> dict[str, frozenset[str]]:
    """Return the condition keys of a request on one resource of a product."""
    found: dict[str, set[str]] = {}
    for key, value in resource.tags.items():
        found.setdefault(f"acs:ResourceTag/{key}", set()).add(value)
        found.setdefault(f"{product}:tag/{key}", set()).add(value)
    for key, value in request_tags:
        found.setdefault(f"acs:RequestTag/{key}", set()).add(value)
    return {name: frozenset(values) for name, values in found.items()}


def decide(
    policies: Iterable[PolicyDocument],
    *,
    action: str,
    arn: str,
    context: Mapping[str, frozenset[str]],
) -> str:
    """Return ``ALLOW``, ``EXPLICIT_DENY`` or ``IMPLICIT_DENY``."""
    verdict = IMPLICIT_DENY
    for policy in policies:
        for statement in _many(policy.get("Statement", [])):
            if not _applies(statement, action=action, arn=arn, context=context):
                continue
            if statement.get("Effect") == "Deny":
                return EXPLICIT_DENY
            verdict = ALLOW
    return verdict


def _applies(
    statement: Mapping[str, Any], *, action: str, arn: str, context: Mapping[str, frozenset[str]]
) -> bool:
    if "NotAction" in statement:
        if _any_like(_many(statement["NotAction"]), action, ignore_case=True):
            return False
    elif not _any_like(_many(statement.get("Action", [])), action, ignore_case=True):
        return False
    if not _any_like(_many(statement.get("Resource", [])), arn):
        return False
    return all(
        _condition_holds(operator, key, _many(wanted), context)
        for operator, block in statement.get("Condition", {}).items()
        for key, wanted in block.items()
    )


def _same(have: str, want: str) -> bool:
    return have == want


def _same_ignoring_case(have: str, want: str) -> bool:
    return have.lower() == want.lower()


def _fits_pattern(have: str, want: str) -> bool:
    return like(want, have)


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_ignoring_case,
    "StringLike": _fits_pattern,
    "Bool": _same_ignoring_case,
}


def _condition_holds(
    operator: str, key: str, wanted: Sequence[Any], context: Mapping[str, frozenset[str]]
) -> bool:
    values = context.get(key, frozenset())
    texts = [_text(value) for value in wanted]
    if operator == "Null":
        return (not values) == (texts[:1] == ["true"])
    negated = "Not" in operator
    test = _TESTS.get(operator.replace("Not", ""))
    if test is None:
        # An operator that is not simulated never lets an Allow through.
        return False
    if not values:
        return negated
    hit = any(test(have, want) for have in values for want in texts)
    return hit != negated


def like(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Tell whether ``text`` fits a pattern of ``*`` (any run) and ``?`` (any one)."""
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern]
    return re.compile("".join(parts), re.DOTALL)


def _any_like(patterns: Iterable[Any], text: str, *, ignore_case: bool = False) -> bool:
    return any(like(_text(pattern), text, ignore_case=ignore_case) for pattern in patterns)


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
