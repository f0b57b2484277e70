"""Commands that people paste into a shell: a foreign word is one argument, whatever it holds."""

from __future__ import annotations

import shlex

from snap_self.model.shown import escaped, is_printable


def quoted(word: str) -> str:
    """Return the word as one argument of a shell, on one line and printable.

    Source: bash(1), QUOTING: ``$'...'``, which zsh and ksh know too.
    """
    if is_printable(word):
        return shlex.quote(word)
    # No quote is left inside: older shells look for the end of ``'...'`` when they expand ``!``.
    plain = word.replace("\\", r"\\").replace("'", r"\x27")
    return f"$'{escaped(plain, _in_bytes)}'"


def command(*words: str, remark: str = "") -> str:
    """Return a command line of these words.

    Args:
        remark: what to look or wait for, as a comment. Only fixed words of ours: in a comment
            nothing can be quoted.
    """
    line = " ".join(quoted(word) for word in words)
    return f"{line}   # {remark}" if remark else line


def _in_bytes(char: str) -> str:
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors))
