"""A harmless change of every package manager, as its hook gets it on standard input."""

from __future__ import annotations

import json

_NAME, _OLD, _NEW = "hello", "2.10-2", "2.10-3"
_STEPS = {
    "TransactionStepList": [
        {"type": "+", "solvable": {"n": _NAME, "v": "2.10", "r": "3", "a": "x86_64"}}
    ]
}
_DNF5 = {
    "op": "reply",
    "requested_op": "get",
    "domain": "trans_packages",
    "status": "OK",
    "return": {
        "trans_packages": [
            {"action": "U", "direction": "IN", "name": _NAME, "evr": _NEW, "arch": "x86_64"},
            {"action": "O", "direction": "OUT", "name": _NAME, "evr": _OLD, "arch": "x86_64"},
        ]
    },
}
_EVENT = {
    "v": 1,
    "program": "/usr/bin/dnf",
    "arguments": ["upgrade", _NAME],
    "root": "/",
    "items": [["Upgrade", _NAME, "x86_64", _NEW], ["Upgraded", _NAME, "x86_64", _OLD]],
}

SAMPLES: dict[str, bytes] = {
    "apt": (
        "VERSION 3\nAPT::Architecture=amd64\nDir=/\nCommandLine::AsString=apt-get%20upgrade\n\n"
        f"{_NAME} {_OLD} amd64 none < {_NEW} amd64 none /var/cache/apt/archives/{_NAME}.deb\n"
        f"{_NAME} {_OLD} amd64 none < {_NEW} amd64 none **CONFIGURE**\n"
    ).encode(),
    "dnf4": json.dumps(_EVENT).encode(),
    "dnf5": json.dumps(_DNF5).encode(),
    "yum": json.dumps({**_EVENT, "items": [["u", _NAME, "x86_64", _NEW]]}).encode(),
    "zypper": b"PLUGINBEGIN\n\n\0"
    + b"COMMITBEGIN\n\n%s\0" % json.dumps(_STEPS).encode()
    + b"COMMITEND\n\n{}\0PLUGINEND\n\n\0_DISCONNECT\n\n\0",
    "pacman": f"{_NAME}\n".encode(),
}
