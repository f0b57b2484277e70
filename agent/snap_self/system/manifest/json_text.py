"""JSON by the encoder that the interpreter is built with, without the module ``json``.

That one loads ``re`` and ``enum``, which takes longer than all that the reading process writes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[[object, int], tuple[str, ...]]


def _refuse(value: object) -> object:
    raise TypeError(f"no JSON for {type(value).__name__}")


def _encoder() -> Encode:
    try:
        from _json import encode_basestring_ascii, make_encoder

        # What ``json.dumps(…, check_circular=False, allow_nan=False)`` calls.
        encode: Encode = make_encoder(
            None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False
        )
    except (ImportError, TypeError):  # a Python that was built otherwise
        return plain_encoder()
    return encode


def plain_encoder() -> Encode:
    """Return the same by the module ``json``."""
    from json import JSONEncoder

    whole = JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False)
    return lambda value, _: (whole.encode(value),)


_ENCODE = _encoder()


def json_text(value: object) -> str:
    """Return dictionaries, lists, tuples, texts, truth values and numbers as JSON without blanks.

    Raises:
        TypeError: there is something else in it.
    """
    return "".join(_ENCODE(value, 0))
