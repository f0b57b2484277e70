"""The real adapters that others are wired from: configuration in, one of each out."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from snap_self.config.settings import Config
from snap_self.errors import ConfigError
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.request import FreezeRoot
from snap_self.model.snapshots import Credentials
from snap_self.model.trust import Distrusted
from snap_self.ports import Clock
from snap_self.system.clock import SystemClock
from snap_self.system.state.journal import Journal
from snap_self.system.trust import check_trusted
from snap_self.usecases.gate import Gate

if TYPE_CHECKING:
    from snap_self.cloud.credentials.provider import CredentialProvider
    from snap_self.instance.metadata import MetadataClient
    from snap_self.model.run import RunRecord
    from snap_self.system.disks.aside import AsideProcess
    from snap_self.system.net.http import RequestsTransport
    from snap_self.usecases.watching import Watch

PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")


def unheard(event: Event) -> None:
    """Tell nobody of the steps: there is nobody to watch them."""
    del event


@dataclass(frozen=True)
class Adapters:
    """Makes each adapter once, when it is first needed; slow imports are put off until then.

    Args:
        throttled: is told of each call that the cloud refuses as one too many.
        watching: makes what tells those who watch; None where nobody is told.
        calls: the actions of the calls that were made; ``refused_calls`` of those that were
            refused as one too many. Several threads append to them, which is one step.
    """

    config: Config
    env: Mapping[str, str]
    listener: Listener
    throttled: Callable[[], None] | None = None
    watching: Callable[[Adapters], Watch] | None = None
    calls: list[str] = field(default_factory=list)
    refused_calls: list[str] = field(default_factory=list)

    @cached_property
    def clock(self) -> Clock:
        """The system's clock."""
        return SystemClock()

    @cached_property
    def aside(self) -> AsideProcess:
        """The process that makes calls which may never return; started when first asked."""
        from snap_self.system.disks.aside import AsideProcess

        return AsideProcess()

    @cached_property
    def gate(self) -> Gate:
        """The one way to the listener."""
        return Gate(self.listener)

    @cached_property
    def transport(self) -> RequestsTransport:
        """Plain HTTP without proxies, redirects or cookies."""
        from snap_self.system.net.http import RequestsTransport

        check_ca_bundle(self.config.network.ca_bundle)
        return RequestsTransport(ca_bundle=self.config.network.ca_bundle)

    @cached_property
    def metadata(self) -> MetadataClient:
        """The metadata service's client."""
        from snap_self.instance.identity import looks_like_ecs
        from snap_self.instance.metadata import DEFAULT_URL, LONG, SHORT, MetadataClient

        return MetadataClient(
            self.transport,
            self.clock,
            base_url=self.config.network.metadata_url or DEFAULT_URL,
            plain_allowed=not _is_on(self.env, "ALIBABA_CLOUD_IMDSV1_DISABLED"),
            patience=LONG if looks_like_ecs(self.product_name or "") else SHORT,
        )

    @cached_property
    def product_name(self) -> str | None:
        """What the firmware calls this machine; None where another metadata service is named."""
        return None if self.config.network.metadata_url else text_of(PRODUCT_NAME)

    @cached_property
    def provider(self) -> CredentialProvider:
        """The credential chain."""
        from snap_self.cloud.credentials.chain import default_provider
        from snap_self.cloud.credentials.sources import Surroundings
        from snap_self.system.key_programs import KeyPrograms
        from snap_self.system.textfile import read_trusted_file

        return default_provider(
            Surroundings(
                env=self.env,
                home=self.env.get("HOME") or _own_home(),
                read=read_trusted_file,
                transport=self.transport,
                commands=KeyPrograms(self.env),
                clock=self.clock,
                metadata=self.metadata,
                profile=self.config.credentials.profile,
                role=self.config.credentials.role,
                sts_endpoint=self.config.network.sts_endpoint,
            )
        )

    @cached_property
    def store(self) -> Journal:
        """The journal in the state directory."""
        return Journal(self.config.state.dir, told=self.watching and self._tell_watchers)

    @cached_property
    def watch(self) -> Watch:
        """Who is told what happens."""
        if self.watching is None:
            raise RuntimeError("this command tells nobody")
        return self.watching(self)

    @property
    def has_news(self) -> bool:
        """Whether those who watch may have to be told something."""
        return self.watching is not None and ("watch" in self.__dict__ or bool(self.calls))

    def _tell_watchers(self, before: RunRecord | None, after: RunRecord) -> None:
        self.watch.record_changed(before, after)

    def credentials(self, force: bool) -> Credentials:
        """Return keys with life enough for a call."""
        return self.provider.get(min_life_s=60.0, force=force)

    def renew(self, min_life_s: float) -> None:
        """See to it that the keys live so long."""
        self.provider.get(min_life_s=min_life_s)

    def tell_retry(self, text: str) -> None:
        """Tell the listener that a call is tried again."""
        self.gate(Event(kind=EventKind.RETRY, text=text))

    @property
    def root_may_freeze(self) -> bool:
        """Whether the configuration lets the root filesystem be frozen."""
        return self.config.freeze.root is FreezeRoot.ALLOW


def check_ca_bundle(path: str) -> None:
    """Refuse a file of CA certificates that cannot be read: TLS would only say it broke off.

    Raises:
        ConfigError: it cannot be read, or others could name whom to trust.
    """
    if not path:
        return
    try:
        check_trusted(path)
        Path(path).open("rb").close()
    except Distrusted as error:
        raise ConfigError(
            f"network.ca_bundle {path!r} is not used: {error.found.why}", hint=error.found.hint
        ) from None
    except OSError as error:
        raise ConfigError(
            f"network.ca_bundle {path!r} cannot be read: {error.strerror}",
            hint="name a readable file of PEM certificates, or leave it empty",
        ) from None


def text_of(path: Path) -> str:
    """Return a small file's stripped text; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _own_home() -> str:
    """Return the user's home where a daemon's environment does not say it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def _is_on(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() in ("true", "1")
