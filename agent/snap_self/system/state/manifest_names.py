"""How the files of manifests are called: the journal takes them away with their runs."""

from __future__ import annotations

MANIFESTS = "manifests"
BEFORE_SUFFIX = ".json.zz"
AFTER_SUFFIX = ".after.json.zz"
MANIFEST_SUFFIXES = (BEFORE_SUFFIX, AFTER_SUFFIX)
