"""How this snap-self came here, by what lies where."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from snap_self.model.installation import (
    DEBIAN_RECORD,
    DOCUMENTS,
    HOOKS,
    MANIFEST,
    Installation,
    InstalledBy,
    installation_of,
)

TREE = "/opt/snap-self/lib/python3.11/site-packages/snap_self"
VENV = "/home/u/v/lib/python3.11/site-packages/snap_self"


def found(code: str, *there: str, prefix: str = "/home/u/v", installer: str = "") -> Installation:
    """Return what is made of these paths."""
    paths: Collection[str] = there
    return installation_of(code, prefix=prefix, installer=installer, is_there=paths.__contains__)


@pytest.mark.parametrize(
    ("code", "there", "prefix", "installer", "by"),
    [
        (TREE, [DEBIAN_RECORD, HOOKS], "/opt/snap-self", "pip", InstalledBy.DEB),
        (TREE, [HOOKS], "/opt/snap-self", "pip", InstalledBy.RPM),
        (TREE, [MANIFEST, HOOKS], "/opt/snap-self", "pip", InstalledBy.SCRIPT),
        (
            "/src/agent/snap_self",
            ["/src/packaging/hooks/register"],
            "/src/.venv",
            "",
            InstalledBy.CHECKOUT,
        ),
        ("/src/agent/snap_self", [], "/usr", "", InstalledBy.COPY),
        (VENV, [], "/home/u/v", "pip", InstalledBy.PIP),
        (VENV, ["/home/u/v/pipx_metadata.json"], "/home/u/v", "pip", InstalledBy.PIPX),
        (VENV, [], "/home/u/v", "uv", InstalledBy.UV),
        (VENV, ["/home/u/v/uv-receipt.toml"], "/home/u/v", "pip", InstalledBy.UV),
        (VENV, [], "/home/u/v", "", InstalledBy.COPY),
    ],
)
def test_each_way_of_installing_is_told_apart(
    code: str, there: list[str], prefix: str, installer: str, by: InstalledBy
) -> None:
    one = found(code, *there, prefix=prefix, installer=installer)
    assert one.by is by
    assert one.is_whole is (not one.limits)
    assert one.is_whole is (by in (InstalledBy.DEB, InstalledBy.RPM, InstalledBy.SCRIPT))


def test_package_has_its_documents_unless_they_were_left_out() -> None:
    example = f"{DOCUMENTS}/examples/config.toml"
    whole = found(TREE, HOOKS, DOCUMENTS, example)
    assert (whole.documents, whole.example, whole.hooks) == (DOCUMENTS, example, HOOKS)
    slim = found(TREE, HOOKS)
    assert (slim.documents, slim.example) == ("", f"{TREE}/data/config.example.toml")


def test_checkout_has_hooks_of_its_own_and_pip_has_none() -> None:
    checkout = found("/src/agent/snap_self", "/src/packaging/hooks/register")
    assert checkout.hooks == "/src/packaging/hooks"
    assert found(VENV, installer="pip").hooks == ""
    assert found(VENV, HOOKS, installer="pip").hooks == HOOKS


def test_words_name_the_installer() -> None:
    assert found(VENV, installer="uv").words == "installed with uv"
    assert "install.sh" in found(VENV, installer="pip").limits
