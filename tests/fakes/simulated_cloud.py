"""The simulated ECS without sockets, on a clock that tests move, and signers of our own.

The signers are written from the documented signature methods, apart from the simulator's own
code, so that one can find a fault of the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from typing import Any
from urllib.parse import quote

from ecs_simulator.api import Api, Reply
from ecs_simulator.authenticate import ApiRequest
from ecs_simulator.cloud import Cloud
from ecs_simulator.config import DiskConfig, InstanceConfig, LifeTimes, SimulatorConfig
from ecs_simulator.metadata import Metadata
from ecs_simulator.ports import StillInUse, Storage

START = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc).timestamp()
LIFE = LifeTimes(cut_s=1.0, available_s=2.0, accomplished_s=100.0)
_NONCES = count(1)


class HandClock:
    """A clock that stands still until moved."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        """Return the instant set last."""
        return self.time

    def monotonic(self) -> float:
        """Return the instant set last."""
        return self.time


class NotingStorage:
    """Notes what it is told, and fails a cut when told to.

    A disk that is ``mounted``, or of a machine that is ``slow``, is not let go.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, ...]] = []
        self.cuts: list[list[tuple[str, str]]] = []
        self.broken = False
        self.mounted: set[str] = set()
        self.slow: set[str] = set()

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        self.log.append(("create", disk_id, serial, str(size_gib)))
        return f"/images/{disk_id}"

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        self.log.append(("create-from", disk_id, snapshot_id))
        return f"/images/{disk_id}"

    def attach(self, disk_id: str) -> None:
        self.log.append(("attach", disk_id))

    def detach(self, disk_id: str) -> None:
        if disk_id in self.mounted | self.slow:
            raise StillInUse(disk_id, proved=disk_id in self.mounted)
        self.log.append(("detach", disk_id))

    def pull(self, disk_id: str) -> None:
        self.log.append(("pull", disk_id))

    def delete_disk(self, disk_id: str) -> None:
        self.log.append(("delete-disk", disk_id))

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        if self.broken:
            raise OSError("no space left")
        self.cuts.append(list(pairs))

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        self.log.append(("reset", disk_id, snapshot_id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        self.log.append(("delete-snapshot", snapshot_id))

    def path_of(self, snapshot_id: str) -> str | None:
        return f"/images/{snapshot_id}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An API answer read as JSON."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Return the error code, empty on success."""
        return str(self.body.get("Code", ""))

    @property
    def outcome(self) -> tuple[int, str]:
        """Return status and error code."""
        return self.status, self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key pair that signs RPC requests with signature version 1.0."""

    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)

    def sign(self, params: Mapping[str, str], *, at: float, method: str = "GET") -> dict[str, str]:
        """Return all parameters of a signed request."""
        moment = datetime.fromtimestamp(at, timezone.utc)
        full = {
            "Format": "JSON",
            "Version": "2014-05-26",
            "AccessKeyId": self.access_key_id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": f"nonce-{next(_NONCES)}",
            "Timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **({"SecurityToken": self.token} if self.token else {}),
            **params,
        }
        query = "&".join(f"{_encode(k)}={_encode(full[k])}" for k in sorted(full))
        message = f"{method}&%2F&{_encode(query)}".encode()
        digest = hmac.new(f"{self.secret}&".encode(), message, hashlib.sha1).digest()
        return {**full, "Signature": base64.b64encode(digest).decode()}

    def v3_headers(
        self, action: str, query: Mapping[str, str], *, at: float, host: str, body: bytes = b""
    ) -> dict[str, str]:
        """Return the headers of a POST signed with ACS3-HMAC-SHA256."""
        moment = datetime.fromtimestamp(at, timezone.utc)
        headers = {
            "host": host,
            "x-acs-action": action,
            "x-acs-version": "2014-05-26",
            "x-acs-date": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": f"nonce-{next(_NONCES)}",
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        if self.token:
            headers["x-acs-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        text = "&".join(f"{_encode(k)}={_encode(query[k])}" for k in sorted(query))
        payload = headers["x-acs-content-sha256"]
        canonical = f"POST\n/\n{text}\n{lines}\n{names}\n{payload}"
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self.access_key_id},SignedHeaders={names}"
        headers["authorization"] = f"ACS3-HMAC-SHA256 {credential},Signature={signature}"
        return headers


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


TWO_DISKS = SimulatorConfig(
    instances=(
        InstanceConfig(
            instance_id="i-own",
            disks=(
                DiskConfig(disk_id="d-sys"),
                DiskConfig(disk_id="d-data", size_gib=100),
            ),
        ),
    ),
    life=LIFE,
)


class SocketlessCloud:
    """A simulated cloud whose API is called by function.

    Args:
        holding: what holds the disks' bytes, in place of a storage that only notes.
    """

    def __init__(
        self, config: SimulatorConfig = TWO_DISKS, *, holding: Storage | None = None
    ) -> None:
        self.clock = HandClock()
        self.storage = NotingStorage()
        self.cloud = Cloud(config=config, clock=self.clock, storage=holding or self.storage)
        self.api = Api(self.cloud, stopping=threading.Event())
        self.metadata = Metadata(self.cloud)
        key = config.keys[0]
        self.signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)

    def pass_time(self, seconds: float) -> None:
        """Move the clock on and do what falls due."""
        self.clock.time += seconds
        self.cloud.agenda.run_due()

    def send(
        self,
        params: Mapping[str, str],
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send parameters as they are."""
        return self.api.answer(
            ApiRequest(
                method=method,
                path="/",
                query=params,
                params=params,
                headers={"host": "ecs.cn-hangzhou.aliyuncs.com", **(headers or {})},
                body=body,
            )
        )

    def call(self, action: str, *, signer: Signer | None = None, **params: Any) -> Answer:
        """Send one signed call; ``__`` in a name stands for a dot."""
        named = {name.replace("__", "."): str(value) for name, value in params.items()}
        named.setdefault("RegionId", "cn-hangzhou")
        signed = (signer or self.signer).sign({"Action": action, **named}, at=self.clock.time)
        reply = self.send(signed)
        return Answer(reply.status, json.loads(reply.body), reply.headers)

    def made(self, action: str, **params: Any) -> Any:
        """Return the one id that a successful call gave.

        Raises:
            AssertionError: the call was refused.
        """
        answer = self.call(action, **params)
        assert answer.status == 200, answer
        return next(value for name, value in answer.body.items() if name != "RequestId")

    def snapshots(self, **params: Any) -> list[dict[str, Any]]:
        """Return one page of DescribeSnapshots."""
        found = self.call("DescribeSnapshots", **params).body["Snapshots"]["Snapshot"]
        return list(found)
