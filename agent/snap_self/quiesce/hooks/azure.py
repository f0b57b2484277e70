"""Azure Backup's JSON configuration of a pre-script and a post-script.

``sh`` runs both scripts. They and the configuration must give permissions to root only. Exit status
0 is success, everything else is failure. ``timeoutInSeconds`` is for each script; a script that
reaches its limit is not tried again. ``fsFreezeEnabled`` is ignored: the level asked for decides
whether filesystems are frozen.

Source: Azure Backup documentation, "Application-consistent backup of Azure Linux VMs".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snap_self.model.hooks import HookStep, OnFailure
from snap_self.quiesce.hooks.building import Builder, hook_name
from snap_self.quiesce.hooks.trust import judge

NAME = "VMSnapshotScriptPluginConfig.json"
MAX_TIMEOUT_S = 1800
"""The host's own limit, independent of the file."""
DEFAULT_TIMEOUT_S = 30
MAX_RETRIES = 100
"""A typing error must not run a script for ever: the file's own limits are for one attempt."""
_HINT = "compare it with the template VMSnapshotScriptPluginConfig.json of Azure Backup"


class _Fault(Exception):
    """The configuration is not as documented; the text names the attribute."""


def azure_steps(path: str, builder: Builder) -> tuple[HookStep, ...]:
    """Return the step that the configuration file describes."""
    try:
        hops = builder.files.walk(path)
        why, hint = judge(hops, executable=False, private=True)
        if why:
            return (builder.broken(hook_name(path), why, hint),)
        return (_step(_parse(builder.files.read(path)), builder),)
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror or error}"
    except _Fault as error:
        why = f"{path}: {error}"
    return (builder.broken(hook_name(path), why, _HINT),)


def _step(config: Mapping[str, Any], builder: Builder) -> HookStep:
    pre, post = _script(config, "preScriptLocation"), _script(config, "postScriptLocation")
    goes_on = _get(config, "continueBackupOnFailure", bool, default=True)
    before = _arguments(config, "preScriptParams")
    after = _arguments(config, "postScriptParams")
    _get(config, "fsFreezeEnabled", bool, default=True)
    return HookStep(
        name=f"hook {_get(config, 'pluginName', str, default='') or 'azure'}",
        start=builder.command(pre, *before, phase="pre", by_shell=True),
        stop=builder.command(post, *after, phase="post", by_shell=True),
        timeout_s=_timeout_s(config),
        retries=_retries(config, "preScriptNoOfRetries"),
        stop_retries=_retries(config, "postScriptNoOfRetries"),
        on_failure=OnFailure.GO_ON if goes_on else OnFailure.ABORT,
        private=True,
    )


def _parse(text: str) -> Mapping[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise _Fault("it is not JSON") from None
    if not isinstance(config, dict):
        raise _Fault("it is not a JSON object")
    return config


def _get(config: Mapping[str, Any], name: str, kind: type, *, default: Any) -> Any:
    value = config.get(name, default)
    if type(value) is not kind:
        raise _Fault(f"{name} is not of type {kind.__name__}")
    return value


def _script(config: Mapping[str, Any], name: str) -> str:
    path: str = _get(config, name, str, default="")
    if not path.startswith("/"):
        raise _Fault(f"{name} is not an absolute path")
    return path


def _number(config: Mapping[str, Any], name: str, *, default: int) -> int:
    value: int = _get(config, name, int, default=default)
    if value < 0:
        raise _Fault(f"{name} is negative")
    return value


def _retries(config: Mapping[str, Any], name: str) -> int:
    count = _number(config, name, default=0)
    if count > MAX_RETRIES:
        raise _Fault(f"{name} is more than {MAX_RETRIES}")
    return count


def _timeout_s(config: Mapping[str, Any]) -> float:
    seconds = _number(config, "timeoutInSeconds", default=DEFAULT_TIMEOUT_S)
    return float(min(seconds or DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S))


def _arguments(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    items = _get(config, name, list, default=[])
    if not all(isinstance(item, str) and "\0" not in item for item in items):
        raise _Fault(f"{name} is not an array of strings")
    return tuple(items)
