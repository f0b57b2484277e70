"""The instance metadata service (100.100.100.200 in the real cloud).

Items, both access modes, status codes and credential rotation are as documented under "instance
metadata" in the ECS user guide. Texts of error pages are not documented; do not rely on them.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.faults import CallLog, CallRecord
from ecs_simulator.keys import Key
from ecs_simulator.records import Instance

TOKEN_HEADER = "x-aliyun-ecs-metadata-token"  # noqa: S105
TTL_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
VERSIONS = ("2016-01-01", "latest")
_PAGES = {400: "Missing or Invalid Parameters", 401: "Unauthorized", 403: "Forbidden"}
_PAGES |= {404: "Not Found", 405: "Method Not Allowed", 429: "Too Many Requests"}

Tree = dict[str, "Tree | str"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataReply:
    """Status and body of an answer."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "text/plain"


class Metadata:
    """Answers requests to the metadata service of one instance.

    Args:
        instance_id: empty for the cloud's own instance.
    """

    def __init__(self, cloud: Cloud, *, instance_id: str = "") -> None:
        self._cloud = cloud
        self._instance_id = instance_id
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._role_key: Key | None = None
        self._second = (0, 0)
        self.limit_per_s = cloud.config.metadata_limit_per_s
        self.calls = CallLog()

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataReply:
        """Answer one request.

        Args:
            path: decoded, without query.
            headers: names in lower case.
        """
        started = self._cloud.clock.now()
        reply = self._answer(method, path, headers)
        self.calls.add(
            CallRecord(
                time=started,
                ended=self._cloud.clock.now(),
                action=f"{method} {path}",
                status=reply.status,
                principal="token" if TOKEN_HEADER in headers else "",
            )
        )
        return reply

    def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataReply:
        instance = self._instance
        if instance.http_endpoint != "enabled":
            return _page(403)
        if self._over_limit():
            return _page(429)
        if path == "/latest/api/token":
            return self._token(method, headers)
        if method not in ("GET", "HEAD"):
            return _page(405)
        refusal = self._check(headers, instance)
        return _page(refusal) if refusal else self._get(path, instance)

    @property
    def _instance(self) -> Instance:
        known = self._cloud.state.instances
        return known[self._instance_id] if self._instance_id else self._cloud.own_instance

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens = dict.fromkeys(self._tokens, 0.0)

    def shift(self, seconds: float) -> None:
        """Move the end of every token, and show new role credentials."""
        with self._lock:
            self._tokens = {token: at + seconds for token, at in self._tokens.items()}
            self._role_key = None

    def rotate_role(self) -> None:
        """Show new role credentials from now on; the old ones stay valid until their end."""
        with self._lock:
            self._role_key = None

    def _over_limit(self) -> bool:
        if not self.limit_per_s:
            return False
        second = int(self._cloud.clock.now())
        with self._lock:
            begun, count = self._second
            self._second = (second, count + 1 if begun == second else 1)
            return self._second[1] > self.limit_per_s

    def _token(self, method: str, headers: Mapping[str, str]) -> MetadataReply:
        if method != "PUT":
            return _page(405)
        if "x-forwarded-for" in headers:
            return _page(403)
        ttl = headers.get(TTL_HEADER, "").strip()
        if not (ttl.isascii() and ttl.isdigit() and 1 <= int(ttl) <= 21600):
            return _page(400)
        token = secrets.token_urlsafe(42)
        self._cloud.keys.remember_secret(token)
        with self._lock:
            self._tokens[token] = self._cloud.clock.now() + int(ttl)
        return MetadataReply(status=200, body=token.encode())

    def _check(self, headers: Mapping[str, str], instance: Instance) -> int:
        """Return the status of a refusal, 0 for none."""
        token = headers.get(TOKEN_HEADER)
        if token is None:
            return 403 if instance.http_tokens == "required" else 0
        with self._lock:
            ends_at = self._tokens.get(token, 0.0)
        return 0 if ends_at > self._cloud.clock.now() else 401

    def _get(self, path: str, instance: Instance) -> MetadataReply:
        if path in ("", "/"):
            return MetadataReply(status=200, body="\n".join(VERSIONS).encode())
        version, _, rest = path.lstrip("/").partition("/")
        if version not in VERSIONS:
            return _page(404)
        if rest in ("user-data", "vendor-data"):
            blob = instance.user_data if rest == "user-data" else instance.vendor_data
            return _page(404) if blob is None else MetadataReply(status=200, body=blob)
        if rest.rstrip("/") == "meta-data/all":
            text = json.dumps(_flat_all(self._meta_data(instance, with_role=False)))
            return MetadataReply(status=200, body=text.encode(), content_type="application/json")
        return _look_up(self._version(instance), rest)

    def _version(self, instance: Instance) -> Tree:
        tree: Tree = {
            "meta-data": self._meta_data(instance, with_role=True),
            "dynamic": {"instance-identity": {"document": self._document(instance)}},
            "maintenance": {"active-system-events": "[]"},
        }
        for name, blob in (
            ("user-data", instance.user_data),
            ("vendor-data", instance.vendor_data),
        ):
            if blob is not None:
                tree[name] = ""
        return tree

    def _document(self, instance: Instance) -> str:
        config = self._cloud.config
        return json.dumps(
            {
                "zone-id": instance.zone_id,
                "serial-number": instance.serial_number,
                "instance-id": instance.instance_id,
                "region-id": config.region_id,
                "private-ipv4": instance.private_ipv4,
                "owner-account-id": config.account_id,
                "mac": instance.mac,
                "image-id": instance.image_id,
                "instance-type": instance.instance_type,
            }
        )

    def _meta_data(self, instance: Instance, *, with_role: bool) -> Tree:
        config = self._cloud.config
        tree: Tree = {
            "dns-conf": {"nameservers": "100.100.2.136\r\n100.100.2.138"},
            "hibernation": {"configured": "false"},
            "hostname": instance.hostname,
            "image-id": instance.image_id,
            "instance": self._instance_items(instance),
            "instance-id": instance.instance_id,
            "mac": instance.mac,
            "network": {"interfaces": {"macs": {instance.mac: _interface(instance)}}},
            "network-type": "vpc",
            "ntp-conf": {"ntp-servers": "ntp1.aliyun.com\r\nntp2.aliyun.com"},
            "owner-account-id": config.account_id,
            "private-ipv4": instance.private_ipv4,
            "region-id": config.region_id,
            "serial-number": instance.serial_number,
            "source-address": "http://mirrors.cloud.aliyuncs.com",
            "vpc-cidr-block": "172.16.0.0/12",
            "vpc-id": "vpc-bp1simulatedvpc000001",
            "vswitch-cidr-block": "172.16.0.0/20",
            "vswitch-id": "vsw-bp1simulatedvsw000001",
            "zone-id": instance.zone_id,
        }
        disks = self._disks(instance)
        if disks:
            tree["disks"] = disks
        if instance.public_keys:
            keys: Tree = {name: {"openssh-key": k} for name, k in instance.public_keys.items()}
            tree["public-keys"] = keys
        if instance.metadata_tags == "enabled" and instance.tags:
            tree["tags"] = {"instance": dict(instance.tags)}
        if with_role and instance.role:
            tree["ram"] = {"security-credentials": {instance.role: self._role(instance.role)}}
        return tree

    def _instance_items(self, instance: Instance) -> Tree:
        items: Tree = {
            "instance-name": instance.name,
            "instance-type": instance.instance_type,
            "last-host-landing-time": "2024-11-17 10:02:41",
            "max-netbw-egress": "1024000",
            "max-netbw-ingress": "1024000",
            "virtualization-solution": "ECS Virt",
            "virtualization-solution-version": "2.0",
        }
        if instance.spot_termination:
            items["spot"] = {"termination-time": instance.spot_termination}
        return items

    def _disks(self, instance: Instance) -> Tree:
        with self._cloud.state.lock:
            return {
                disk.serial: {"id": disk.disk_id, "name": disk.name}
                for disk in self._cloud.state.disks_of(instance.instance_id)
                if disk.serial
            }

    def _role(self, name: str) -> str:
        config = self._cloud.config
        now = self._cloud.clock.now()
        with self._lock:
            key = self._role_key
            stale = key is None or (key.expires_at or 0) - now <= config.role_overlap_s
            if key is None or stale or key.principal.name.split(":")[0] != name:
                key = self._cloud.keys.mint(
                    role=name,
                    session=self._instance.instance_id,
                    lifetime_s=config.role_lifetime_s,
                )
                self._role_key = key
        return json.dumps(
            {
                "AccessKeyId": key.access_key_id,
                "AccessKeySecret": key.secret,
                "Expiration": iso_second(key.expires_at),
                "SecurityToken": key.token,
                "LastUpdated": iso_second(key.created_at),
                "Code": "Success",
            },
            indent=2,
        )


def _interface(instance: Instance) -> Tree:
    return {
        "gateway": "172.16.15.253",
        "netmask": "255.255.240.0",
        "network-interface-id": "eni-bp1simulatedeni000001",
        "primary-ip-address": instance.private_ipv4,
        "private-ipv4s": json.dumps([instance.private_ipv4]),
        "vpc-cidr-block": "172.16.0.0/12",
        "vpc-id": "vpc-bp1simulatedvpc000001",
        "vswitch-cidr-block": "172.16.0.0/20",
        "vswitch-id": "vsw-bp1simulatedvsw000001",
    }


def _look_up(tree: Tree, path: str) -> MetadataReply:
    """Return a leaf's text, or a directory's names, sub-directories with a slash."""
    node: Tree | str = tree
    for name in path.split("/"):
        if not name:
            continue
        if not isinstance(node, dict) or name not in node:
            return _page(404)
        node = node[name]
    if isinstance(node, str):
        return MetadataReply(status=200, body=node.encode())
    # Role names are leaves; clients put the listing into the next URL without stripping it.
    names = [f"{k}/" if isinstance(v, dict) else k for k, v in node.items()]
    return MetadataReply(status=200, body="\n".join(names).encode())


def _flat_all(tree: Tree) -> Tree:
    """Return the tree as ``meta-data/all`` shows it."""
    return {name: _flat_all(v) if isinstance(v, dict) else v for name, v in tree.items()}


def _page(status: int) -> MetadataReply:
    text = _PAGES[status]
    body = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html>\n<html>\n'
        f"<head><title>{status} - {text}</title></head>\n"
        f"<body><h1>{status} - {text}</h1></body>\n</html>\n"
    )
    return MetadataReply(status=status, body=body.encode(), content_type="text/html")
