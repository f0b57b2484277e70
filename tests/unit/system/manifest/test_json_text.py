"""JSON without the module ``json`` is what that module makes."""

from __future__ import annotations

import json

import pytest

from snap_self.system.manifest.json_text import json_text, plain_encoder

VALUES = [
    {},
    ["packages", {"bash:amd64": ("5.2-1", "installed", False, True)}],
    ["files", {"/etc/hosts": (0o100644, 0, -1, 1 << 40, "ab" * 12, "")}],
    ["users", {"root": (0, 0, "/bin/sh", ("adm", "sudo"))}],
    ["listening", [("tcp", "::", 22, "sshd")]],
    ['"quoted" \\ and /', "line\n\ttab\x00\x1f\x7f", "Käse 东 \U0001f9c0", "bytes \udcff\udc80"],
    [None, True, False, 0],
]


@pytest.mark.parametrize("value", VALUES)
def test_text_is_that_of_the_standard_library(value: object) -> None:
    expected = json.dumps(value, separators=(",", ":"))
    assert json_text(value) == expected
    assert plain_encoder()(value, 0) == (expected,)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_what_has_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        json_text([value])
    with pytest.raises(TypeError):
        plain_encoder()([value], 0)
