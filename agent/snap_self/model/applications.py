"""What is configured of the applications that are brought to rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# Every kind of application by its name in the configuration, with its title for people. How one is
# brought to rest is in ``quiesce/applications/registry.py``, in the order in which that is done.
APPLICATIONS: Mapping[str, str] = {
    "mariadb": "MariaDB",
    "mysql": "MySQL",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "mongodb": "MongoDB",
}


class Use(Enum):
    """Whether an application is brought to rest."""

    OFF = "off"
    AUTO = "auto"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """How one kind of application is reached; empty texts are found out.

    Args:
        use: ``auto`` where one is running on the disks concerned, ``on`` it has to be.
        socket: path of the server's local socket.
        user: whom to connect as.
        password_file: file whose first line is the password; root alone may read it.
        server_user: the account that the server runs as; empty: root, or one its packages make.
    """

    use: Use = Use.OFF
    socket: str = ""
    user: str = ""
    password_file: str = ""
    server_user: str = ""
