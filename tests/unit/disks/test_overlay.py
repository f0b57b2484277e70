"""The layers of an overlay are read from its options."""

from __future__ import annotations

import pytest

from snap_self.disks.mountinfo import parse_mountinfo
from snap_self.disks.overlay import layers, upper


def layers_of(extra: str) -> list[str]:
    (mount,) = parse_mountinfo(f"9 1 0:50 / /m rw - overlay overlay rw,{extra}", origin="x")
    return layers(mount)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("lowerdir=/a:/b,upperdir=/u,workdir=/w", ["/u", "/w", "/a", "/b"]),
        ("lowerdir=l/AB:l/CD,upperdir=/s/x/diff,workdir=/s/x/work", ["/s/x/diff", "/s/x/work"]),
        ("lowerdir=/a::/data", ["/a", "/data"]),
        ("lowerdir+=/a,lowerdir+=/b,datadir+=/c", ["/a", "/b", "/c"]),
        ("lowerdir=/with\\134:colon:/b", ["/with:colon", "/b"]),
        ("lowerdir=/a\\054b", ["/a,b"]),
        ("upperdir=/u:u,workdir=/w\\054:w,lowerdir=/a", ["/u:u", "/w,:w", "/a"]),
        ("lowerdir=/a=a:/b,upperdir=/u=u,workdir=/w", ["/u=u", "/w", "/a=a", "/b"]),
        ("upperdir=/u\\054,workdir=/w\\054,lowerdir+=/a\\054,lowerdir+=/b",
         ["/u,", "/w,", "/a,", "/b"]),
        ("lowerdir=/a:/a,upperdir=/u,workdir=/u", ["/u", "/a"]),
        ("redirect_dir=on", []),
        ("lowerdir=/a,upperdir=u,workdir=w", []),
    ],
    ids=[
        *("usual", "docker-relative", "data-only", "one-by-one", "colon", "comma"),
        *("colon-in-one-name", "equals", "all-escaped", "twice", "none", "upper-relative"),
    ],
)  # fmt: skip
def test_layers_are_the_absolute_directories(extra: str, expected: list[str]) -> None:
    assert layers_of(extra) == expected


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("lowerdir=/a:/b,upperdir=/u,workdir=/w", "/u"),
        ("lowerdir=/a,upperdir=u,workdir=/w", "u"),
        ("lowerdir=/a,upperdir=/with\\134:colon\\054x,workdir=/w", "/with:colon,x"),
        ("lowerdir=/a,upperdir=/u=u,workdir=/w", "/u=u"),
        ("lowerdir=/a:/b", ""),
    ],
    ids=["usual", "relative", "escaped", "equals", "read-only"],
)
def test_upper_layer_is_where_what_is_written_lies(extra: str, expected: str) -> None:
    (mount,) = parse_mountinfo(f"9 1 0:50 / /m rw - overlay overlay rw,{extra}", origin="x")
    assert upper(mount) == expected
