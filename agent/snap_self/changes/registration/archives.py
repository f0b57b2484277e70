"""An empty package in the form of each package manager, for a rehearsal: pure.

Sources: deb(5); https://rpm-software-management.github.io/rpm/manual/format_v4.html; PKGBUILD(5).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence

VERSION = "1"
RELEASE = "1"
SUMMARY = "snap-self's rehearsal; never installed"

_INT32, _STRING, _BIN, _STRINGS, _I18N = 4, 6, 7, 8, 9
_IMMUTABLE, _SIGNATURES = 63, 62
_MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
_LEAD = struct.Struct(">4sBBhh66shh16x")
_EQUAL, _SHA256 = 8, 8
# cpio's end, with nothing before it.
_NO_FILES = b"070701" + b"0" * 40 + b"00000001" + b"0" * 48 + b"0000000B" + b"0" * 8
_Tag = tuple[int, int | str | bytes | Sequence[str]]


def debian_package(name: str) -> bytes:
    """Return a .deb without files."""
    control = (
        f"Package: {name}\nVersion: {VERSION}\nArchitecture: all\n"
        f"Maintainer: nobody <nobody@example.invalid>\nDescription: {SUMMARY}\n"
    )
    members = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", _tar({"./control": control})),
        ("data.tar.gz", _tar({})),
    )
    return b"!<arch>\n" + b"".join(_ar_member(member, content) for member, content in members)


def pacman_package(name: str) -> bytes:
    """Return a .pkg.tar.gz without files."""
    info = (
        f"pkgname = {name}\npkgver = {VERSION}-{RELEASE}\npkgdesc = {SUMMARY}\nurl = none\n"
        "builddate = 1\npackager = nobody\nsize = 0\narch = any\n"
    )
    return _tar({".PKGINFO": info})


def rpm_package(name: str) -> bytes:
    """Return an .rpm without files, with the digests that rpm asks for."""
    archive = _NO_FILES + b"TRAILER!!!\0" + b"\0" * 3
    payload = gzip.compress(archive, mtime=0)
    header = _header(
        _IMMUTABLE,
        (
            (100, ["C"]),
            *((1000, name), (1001, VERSION), (1002, RELEASE)),
            *((1004, _Translated(SUMMARY)), (1005, _Translated(SUMMARY))),
            *((1006, 1), (1009, 0), (1014, "none"), (1016, _Translated("none"))),
            *((1021, "linux"), (1022, "noarch"), (1044, f"{name}-{VERSION}-{RELEASE}.src.rpm")),
            *((1047, [name]), (1112, _EQUAL), (1113, [f"{VERSION}-{RELEASE}"])),
            *((1124, "cpio"), (1125, "gzip"), (1126, "9")),
            *((5092, [hashlib.sha256(payload).hexdigest()]), (5093, _SHA256)),
        ),
    )
    whole = header + payload
    signature = _header(
        _SIGNATURES,
        (
            (269, hashlib.sha1(header, usedforsecurity=False).hexdigest()),
            (273, hashlib.sha256(header).hexdigest()),
            *((1000, len(whole)), (1004, hashlib.md5(whole, usedforsecurity=False).digest())),
            (1007, len(archive)),
        ),
    )
    title = f"{name}-{VERSION}-{RELEASE}".encode()
    lead = _LEAD.pack(b"\xed\xab\xee\xdb", 3, 0, 0, 1, title, 1, 5)
    return lead + signature + b"\0" * (-len(signature) % 8) + whole


class _Translated(str):
    """A text that has translations in rpm's header, of which this is the only one."""


def _header(region: int, tags: Sequence[_Tag]) -> bytes:
    """Return a header whose entries are one region that must not be changed."""
    entries, data = [], b""
    for tag, value in tags:
        kind, count, raw = _encoded(value)
        if kind == _INT32:
            data += b"\0" * (-len(data) % 4)
        entries.append(struct.pack(">iiii", tag, kind, len(data), count))
        data += raw
    size = 16 * (len(entries) + 1)
    first = struct.pack(">iiii", region, _BIN, len(data), 16)
    data += struct.pack(">iiii", region, _BIN, -size, 16)
    sizes = struct.pack(">ii", len(entries) + 1, len(data))
    return _MAGIC + sizes + first + b"".join(entries) + data


def _encoded(value: int | str | bytes | Sequence[str]) -> tuple[int, int, bytes]:
    """Return a value's type, its count and its bytes."""
    if isinstance(value, int):
        return _INT32, 1, struct.pack(">i", value)
    if isinstance(value, bytes):
        return _BIN, len(value), value
    if isinstance(value, str):
        return _I18N if isinstance(value, _Translated) else _STRING, 1, value.encode() + b"\0"
    return _STRINGS, len(value), b"".join(each.encode() + b"\0" for each in value)


def _tar(files: Mapping[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def _ar_member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)
