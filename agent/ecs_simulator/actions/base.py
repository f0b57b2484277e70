"""What all operations of the API have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.keys import Principal
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource

Json = dict[str, Any]
T = TypeVar("T")

ECS_VERSION = "2014-05-26"
STS_VERSION = "2015-04-01"
OOS_VERSION = "2019-06-01"
# The products as policies and the addresses of error pages name them.
PRODUCTS = {ECS_VERSION: "ecs", STS_VERSION: "sts", OOS_VERSION: "oos"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated call.

    Args:
        blind: the caller's policies do not allow this listing, so it finds nothing.
    """

    action: str
    params: Params
    principal: Principal | None
    blind: bool = False

    def visible(self, found: Iterable[T]) -> Iterable[T]:
        """Return what a listing found, or nothing when the caller may not list."""
        return () if self.blind else found


def no_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:  # noqa: ARG001
    """Name no resource: the action alone counts."""
    return (Resource(kind="*"),)


def numbered_tags(params: Params) -> Sequence[tuple[str, str]]:
    """Return a request's tags, given as ``Tag.N.Key`` and ``Tag.N.Value``."""
    return [(each.get("Key", ""), each.get("Value", "")) for each in params.records("Tag")]


def never(params: Params) -> bool:  # noqa: ARG001
    """Tell that no request is meant."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API.

    Args:
        run: returns the body without RequestId.
        resources: what the caller's policies must allow; all of it.
        reads: a refusal gives an empty listing instead of an error.
        idempotent: honours ClientToken.
        ignores_token: tells of which requests it does not.
        anonymous: needs no signature.
        request_tags: the tags that the request gives, for the policies' conditions.
    """

    name: str
    run: Callable[[Cloud, Call], Json]
    resources: Callable[[Cloud, Params], Sequence[Resource]] = no_resources
    reads: bool = False
    idempotent: bool = False
    ignores_token: Callable[[Params], bool] = never
    anonymous: bool = False
    version: str = ECS_VERSION
    request_tags: Callable[[Params], Sequence[tuple[str, str]]] = numbered_tags


def check_dry_run(params: Params) -> None:
    """End a dry run that passed all checks, which the API reports as an error."""
    if params.flag("DryRun"):
        raise ApiError("DryRunOperation")
