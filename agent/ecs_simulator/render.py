"""An answer's body as JSON or, the API's default without ``Format``, as XML. Pure."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape  # nosec B406  # writes, parses nothing

JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"


def render(body: dict[str, Any], *, action: str, as_json: bool) -> tuple[bytes, str]:
    """Return the body's bytes and content type; an error's XML root is ``Error``."""
    if as_json:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), JSON_TYPE
    root = "Error" if "Code" in body and "Message" in body else f"{action}Response"
    text = f"<?xml version='1.0' encoding='UTF-8'?><{root}>{_xml(body)}</{root}>"
    return text.encode(), XML_TYPE


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_element(name, inner) for name, inner in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for inner in value)
    return f"<{name}>{_xml(value)}</{name}>"
