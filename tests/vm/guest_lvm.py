"""Write a volume group of one linear volume, byte by byte, as there is no device mapper here.

The filesystem of the volume begins at ``START_BYTES`` of its partition and has ``volume_bytes``.
Source of the format: LVM2's ``lib/format_text/layout.h`` and ``lib/label/label.h``.
"""

from __future__ import annotations

import itertools
import struct
import zlib

GROUP, VOLUME = "system", "root"
DEVICE = f"/dev/mapper/{GROUP}-{VOLUME}"
START_BYTES = 1 << 20
EXTENT_BYTES = 4 << 20
SECTOR = 512
_AREA_AT = 4096
_AREA_BYTES = START_BYTES - _AREA_AT
_PHYSICAL, _GROUP, _LOGICAL = (letter * 32 for letter in "pgl")
_TEXT = """\
{group} {{
id = "{group_id}"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = {extent_sectors}
max_lv = 0
max_pv = 0
metadata_copies = 0

physical_volumes {{

pv0 {{
id = "{physical_id}"
device = "/dev/vda1"

status = ["ALLOCATABLE"]
flags = []
dev_size = {sectors}
pe_start = {start}
pe_count = {extents}
}}
}}

logical_volumes {{

{volume} {{
id = "{logical_id}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
creation_time = 1700000000
creation_host = "guest"
segment_count = 1

segment1 {{
start_extent = 0
extent_count = {extents}

type = "striped"
stripe_count = 1

stripes = [
"pv0", 0
]
}}
}}
}}
}}
contents = "Text Format Volume Group"
version = 1

description = ""

creation_host = "guest"
creation_time = 1700000000

"""


def volume_bytes(partition_bytes: int) -> int:
    """Return how large the volume is that fills a partition."""
    return (partition_bytes - START_BYTES) // EXTENT_BYTES * EXTENT_BYTES


def group(partition_bytes: int) -> bytes:
    """Return what the partition begins with: label, header and text; zeros up to the volume."""
    text = _text(partition_bytes)
    head = bytes(SECTOR) + _label(partition_bytes)
    head += bytes(_AREA_AT - len(head)) + _area(text) + text
    return head + bytes(START_BYTES - len(head))


def _crc(data: bytes) -> int:
    """Return LVM's checksum: that of zlib, begun elsewhere and not inverted."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _text(partition_bytes: int) -> bytes:
    text = _TEXT.format(
        group=GROUP,
        volume=VOLUME,
        group_id=_dashed(_GROUP),
        physical_id=_dashed(_PHYSICAL),
        logical_id=_dashed(_LOGICAL),
        extent_sectors=EXTENT_BYTES // SECTOR,
        sectors=partition_bytes // SECTOR,
        start=START_BYTES // SECTOR,
        extents=volume_bytes(partition_bytes) // EXTENT_BYTES,
    )
    return text.encode() + b"\0"


def _dashed(uuid: str) -> str:
    """Return an id as LVM writes it in text: 6-4-4-4-4-4-6."""
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(uuid[begin:end] for begin, end in itertools.pairwise(cuts))


def _label(partition_bytes: int) -> bytes:
    """Return the second sector: where the data begins and where the text lies."""
    header = _PHYSICAL.encode() + struct.pack("<Q", partition_bytes)
    header += struct.pack("<4Q", START_BYTES, 0, 0, 0)  # data, and the end of that list
    header += struct.pack("<4Q", _AREA_AT, _AREA_BYTES, 0, 0)  # text, and the end of that list
    header += struct.pack("<II2Q", 2, 1, 0, 0)  # version, in use; no area of a boot loader
    body = struct.pack("<I8s", 32, b"LVM2 001") + header
    body += bytes(SECTOR - 20 - len(body))
    return struct.pack("<8sQI", b"LABELONE", 1, _crc(body)) + body


def _area(text: bytes) -> bytes:
    """Return the header of the text, which comes right behind it."""
    body = b"\x20LVM2\x20x[5A%r0N*>" + struct.pack("<IQQ", 1, _AREA_AT, _AREA_BYTES)
    body += struct.pack("<QQII", SECTOR, len(text), _crc(text), 0)
    body += bytes(SECTOR - 4 - len(body))
    return struct.pack("<I", _crc(body)) + body
