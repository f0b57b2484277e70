"""Access keys of users and short-lived keys of roles, with every secret ever given out."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecs_simulator.clock import Clock
from ecs_simulator.config import AccessKeyConfig, PolicyDocument, RoleConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who sent a request."""

    account_id: str
    kind: str
    name: str
    policies: tuple[PolicyDocument, ...] = field(repr=False)
    role_id: str = ""
    session_policy: PolicyDocument | None = field(default=None, repr=False)

    @property
    def arn(self) -> str:
        """Return the resource name that GetCallerIdentity shows."""
        if self.kind == "AssumedRoleUser":
            return f"acs:ram::{self.account_id}:assumed-role/{self.name.replace(':', '/')}"
        return f"acs:ram::{self.account_id}:user/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One usable key; ``token`` and ``expires_at`` only on short-lived ones."""

    access_key_id: str
    secret: str = field(repr=False)
    principal: Principal
    token: str = field(default="", repr=False)
    created_at: float = 0.0
    expires_at: float | None = None
    active: bool = True


class KeyStore:
    """All keys the simulated account knows; safe for several threads."""

    def __init__(
        self,
        *,
        account_id: str,
        users: Sequence[AccessKeyConfig],
        roles: Sequence[RoleConfig],
        clock: Clock,
        secrets_dir: str = "",
    ) -> None:
        name = f"simulator-{os.getpid()}"
        self._secrets_file = Path(secrets_dir) / name if secrets_dir else None
        self._account_id = account_id
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._tokens: dict[str, str] = {}
        self._secrets: set[str] = set()
        self._role_policies = {role.name: role.policies for role in roles}
        for user in users:
            self.add_user(user)

    def add_user(self, user: AccessKeyConfig) -> None:
        """Make a long-lived key known."""
        principal = Principal(
            account_id=self._account_id, kind="SubUser", name=user.user, policies=user.policies
        )
        key = Key(
            access_key_id=user.access_key_id,
            secret=user.access_key_secret,
            principal=principal,
            active=user.active,
        )
        with self._lock:
            self._keys[key.access_key_id] = key
        self.remember_secret(key.secret)

    def mint(
        self,
        *,
        role: str,
        session: str,
        lifetime_s: float,
        session_policy: PolicyDocument | None = None,
    ) -> Key:
        """Return new short-lived keys of a role's session, valid from now on.

        Args:
            session_policy: limits the session's rights within the role's policies.
        """
        now = self._clock.now()
        key = Key(
            access_key_id=f"STS.N{secrets.token_hex(11)}",
            secret=secrets.token_urlsafe(32),
            token="CAIS" + secrets.token_urlsafe(120) + "+/" + secrets.token_urlsafe(8) + "==",
            principal=Principal(
                account_id=self._account_id,
                kind="AssumedRoleUser",
                name=f"{role}:{session}",
                policies=self._role_policies.get(role, ()),
                session_policy=session_policy,
                role_id="3" + self._account_id[1:],
            ),
            created_at=now,
            expires_at=now + lifetime_s,
        )
        with self._lock:
            self._keys[key.access_key_id] = key
            self._tokens[key.token] = key.access_key_id
        self.remember_secret(key.secret)
        self.remember_secret(key.token)
        return key

    def principal(
        self, kind: str, name: str, *, session_policy: PolicyDocument | None = None
    ) -> Principal:
        """Return a user, or a role's session, with the policies of now."""
        with self._lock:
            role = self._role_policies.get(name.partition(":")[0], ())
            users = (key.principal for key in self._keys.values())
            user = next((each.policies for each in users if each.name == name), ())
            return Principal(
                account_id=self._account_id,
                kind=kind,
                name=name,
                policies=role if kind == "AssumedRoleUser" else user,
                role_id="3" + self._account_id[1:] if kind == "AssumedRoleUser" else "",
                session_policy=session_policy,
            )

    def find(self, access_key_id: str) -> Key | None:
        with self._lock:
            return self._keys.get(access_key_id)

    def owner_of(self, token: str) -> str | None:
        """Return the access key id that a security token belongs to."""
        with self._lock:
            return self._tokens.get(token)

    def expire_all(self) -> None:
        now = self._clock.now()
        with self._lock:
            for name, key in list(self._keys.items()):
                if key.expires_at is not None:
                    self._keys[name] = replace(key, expires_at=now - 1)

    def shift(self, seconds: float) -> None:
        """Move every instant of every short-lived key."""
        with self._lock:
            for name, key in list(self._keys.items()):
                if key.expires_at is not None:
                    self._keys[name] = replace(
                        key,
                        created_at=key.created_at + seconds,
                        expires_at=key.expires_at + seconds,
                    )

    def set_policies(self, name: str, policies: tuple[PolicyDocument, ...]) -> None:
        """Replace the policies of a user or a role, also for keys given out earlier."""
        with self._lock:
            self._role_policies[name] = policies
            for key_id, key in list(self._keys.items()):
                if key.principal.name.partition(":")[0] == name:
                    principal = replace(key.principal, policies=policies)
                    self._keys[key_id] = replace(key, principal=principal)

    def remember_secret(self, text: str) -> None:
        """Note another secret that was handed out or received."""
        with self._lock:
            if text in self._secrets:
                return
            self._secrets.add(text)
            if self._secrets_file is not None:
                with open(self._secrets_file, "a", encoding="utf-8", opener=_append) as file:
                    file.write(f"{text}\n")

    def secrets(self) -> frozenset[str]:
        """Return every secret ever handed out."""
        with self._lock:
            return frozenset(self._secrets)


def _append(path: str, flags: int) -> int:
    """Open a file for this user alone; refuse a file with a second name."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    seen = os.fstat(descriptor)
    if seen.st_uid != os.geteuid() or seen.st_nlink != 1:
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "is not a file of this user's own", path)
    return descriptor
