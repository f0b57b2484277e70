"""The layers of an overlay are read from its options."""

from __future__ import annotations

import pytest

from snap_self.disks.mountinfo import parse_mountinfo
from snap_self.disks.overlay import layers


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
        ("redirect_dir=on", []),
    ],
    ids=["usual", "docker-relative", "data-only", "one-by-one", "colon", "comma", "none"],
)
def test_layers_are_the_absolute_directories(extra: str, expected: list[str]) -> None:
    assert layers_of(extra) == expected
