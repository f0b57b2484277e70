"""Names in the kernel's tables, in which white space and backslashes are octal numbers.

It imports nothing, for those that must start quickly.

Source: seq_file.c, mangle_path().
"""

from __future__ import annotations

_OCTAL = b"01234567"


def unmangled(text: str) -> str:
    r"""Return the text with ``\ooo`` replaced by the byte it stands for."""
    if "\\" not in text:
        return text
    first, *others = text.encode("utf-8", "surrogateescape").split(b"\\")
    raw = [first]
    for part in others:
        code = part[:3]
        is_code = len(code) == 3 and code < b"400" and not code.strip(_OCTAL)
        raw += [bytes((int(code, 8),)), part[3:]] if is_code else [b"\\", part]
    return b"".join(raw).decode("utf-8", "surrogateescape")
