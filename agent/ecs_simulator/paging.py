"""Pages of a listing: MaxResults with an opaque NextToken, or the older PageNumber. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page a request asks for.

    Args:
        size: entries per page.
        number: the page's number in the older form; 0 with tokens.
        after: the last entry given so far, from the token; None at the beginning.
        given: how many entries the pages before had.
    """

    size: int
    number: int
    after: int | None = None
    given: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page; ``total`` is only right in the older way."""

    entries: list[T]
    next_token: str
    total: int
    request: PageRequest

    def head(self) -> dict[str, object]:
        """Return the fields every listing begins with."""
        return {
            "TotalCount": self.total,
            "PageNumber": self.request.number or 1,
            "PageSize": self.request.size,
            "NextToken": self.next_token,
        }


def read_page_request(
    params: Params, *, floor: int = 10, ceiling: int = 100, default: int = 10, numbered: bool = True
) -> PageRequest:
    """Return the page a request asks for, clamped like in the API.

    Args:
        default: entries per page where the request does not say.
        numbered: without MaxResults and NextToken the older form is meant.

    Raises:
        ApiError: a number or token is not one.
    """
    size = params.integer("MaxResults", "InvalidParameter.MaxResults")
    token = params.text("NextToken")
    if numbered and size is None and not token:
        number = params.integer("PageNumber", "InvalidParameter.PageNumber") or 1
        size = params.integer("PageSize", "InvalidParameter.PageSize") or 10
        return PageRequest(size=max(1, min(size, ceiling)), number=max(1, number))
    after, given = _read_token(token) if token else (None, 0)
    return PageRequest(
        size=max(floor, min(size or default, ceiling)), number=0, after=after, given=given
    )


def cut_page(
    found: Iterable[tuple[int, T]], request: PageRequest, *, cap: int | None = None
) -> Page[T]:
    """Return one page of the entries found.

    Args:
        found: entries after ``request.after``, each with the number a token remembers it by.
        cap: how many entries all pages may hold together.
    """
    if request.number:
        everything = [entry for _, entry in islice(found, cap)]
        begin = (request.number - 1) * request.size
        return Page(
            entries=everything[begin : begin + request.size],
            next_token="",
            total=len(everything),
            request=request,
        )
    room = request.size if cap is None else min(request.size, max(0, cap - request.given))
    taken = list(islice(found, room + 1))
    page = taken[:room]
    given = request.given + len(page)
    more = len(taken) > room and bool(page) and (cap is None or given < cap)
    return Page(
        entries=[entry for _, entry in page],
        next_token=_make_token(page[-1][0], given) if more else "",
        total=0,
        request=request,
    )


def _make_token(after: int, given: int) -> str:
    return "caeba0" + base64.urlsafe_b64encode(json.dumps([after, given]).encode()).decode()


def _read_token(token: str) -> tuple[int, int]:
    try:
        after, given = json.loads(base64.urlsafe_b64decode(token.removeprefix("caeba0")))
        return int(after), int(given)
    except (ValueError, TypeError):
        raise ApiError("InvalidParameter.NextToken", "NextToken is not valid.") from None
