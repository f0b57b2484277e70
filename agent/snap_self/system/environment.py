"""Cleans the environment of root's process: no variable may decide what is loaded or run.

A variable gets to root through ``sudo -E``, ``su`` without ``-``, ``env_keep`` or a cron table, and
may name another user's place: an OpenSSL module, a file for TLS session keys, a server for libpq, a
folder of programs, a program in place of the system bus (``unixexec:``). Nobody can list all of
these, so the list names what is kept. The caller's command gets the unchanged environment.

This is loaded before anything that loads OpenSSL, so it imports almost nothing itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

# Where the system's programs are. Not /usr/local, where a group of administrators may write.
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# Read by the agent or the simulator. Places that they name are checked where they are used.
_KEPT_KINDS = ("SNAP_SELF_", "ECS_SIMULATOR_", "ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_")
_KEPT = frozenset(
    (
        *("HOME", "USER", "LOGNAME", "SUDO_UID", "SUDO_GID", "SUDO_USER"),
        *("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"),
        # Set by package managers for their hooks, and by image builders for everybody.
        *("APT_HOOK_INFO_FD", "RELEASE_UPGRADE_IN_PROGRESS", "ZYPP_IS_RUNNING"),
        *("TRANSACTIONAL_UPDATE", "PACKER_BUILD_NAME"),
        # How to write to a terminal. Not TERMINFO or TERMCAP, which name files.
        *("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"),
        *(*_PROXIES, *map(str.lower, _PROXIES)),
        *_TEMPORARY,
        # A Python that the system did not install may need this to find its own library.
        "LD_LIBRARY_PATH",
    )
)
# Names of locales; LC_ begins the names of the single categories (locale(7)).
_LOCALES = ("LC_", "LANG")


def clean_environment(environ: MutableMapping[str, str] = os.environ, *, uid: int = -1) -> None:
    """Remove from the environment what must not decide for root, and set the search path.

    Nothing is changed for other users: their variables can do only what these users may do.

    Args:
        uid: the process's user; by default the effective user.
    """
    if (os.geteuid() if uid < 0 else uid) != 0:
        return
    for name in tuple(environ):
        if not _is_kept(name, environ[name]):
            del environ[name]
    for name in _TEMPORARY:
        if name in environ and not _is_roots(environ[name]):
            del environ[name]
    environ["PATH"] = SYSTEM_PATH


def program_environment(locale: str = "C") -> Mapping[str, str]:
    """Return the environment for a system program that is only asked something.

    Root's is without the caller's ``HOME``: rpm runs what ``~/.rpmmacros`` says.
    """
    home = {} if os.geteuid() else {"HOME": "/"}
    return {**os.environ, **home, "LC_ALL": locale}


def given_environment() -> Mapping[bytes, bytes]:
    """Return the environment as the process got it, for the caller's command.

    The current one differs: root's was cleaned, and in the C locale, which cron and many services
    have, Python sets its own LC_CTYPE (PEP 538).

    Source: proc_pid_environ(5): the process's later changes do not show there.
    """
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            lines = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    # getenv(3) finds the first of two entries with the same name.
    pairs = [line.partition(b"=") for line in lines if b"=" in line[1:]]
    return {name: value for name, _, value in reversed(pairs)}


def _is_kept(name: str, value: str) -> bool:
    if name.startswith(_LOCALES):
        # With a slash it names a file, whose texts we would show (gettext, setlocale(3)).
        return "/" not in value
    return name in _KEPT or name.startswith(_KEPT_KINDS)


def _is_roots(folder: str) -> bool:
    """Return whether nobody else can replace what root makes in the folder."""
    from snap_self.system.trust import room_distrust

    try:
        return room_distrust(folder) is None
    except OSError:
        return False
