"""Which variables of root's decide nothing."""

from __future__ import annotations

import pytest

from snap_self.system.environment import SYSTEM_PATH, clean_environment

KEPT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "TERM": "xterm",
    "NO_COLOR": "1",
    "LD_LIBRARY_PATH": "/opt/python/lib",
    "SNAP_SELF_STATE_DIR": "/var/lib/x",
    "ALIBABA_CLOUD_PROFILE": "p",
    "RELEASE_UPGRADE_IN_PROGRESS": "1",
    "SUDO_UID": "1000",
    "LANGUAGE": "de:en",
    "https_proxy": "http://proxy:3128",
    "APT_HOOK_INFO_FD": "3",
}


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONPLATLIBDIR"),
        *("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "LOCPATH"),
        *("PGHOST", "PGSERVICEFILE", "PGSYSCONFDIR", "PGPASSFILE", "PGOPTIONS", "PSYCOPG_IMPL"),
        *("DBUS_SYSTEM_BUS_ADDRESS", "SYSTEMD_PAGER", "APT_CONFIG", "RPM_CONFIGDIR", "ZYPP_CONF"),
        *("TERMINFO", "TERMCAP", "TZ", "PERLLIB", "LESSOPEN", "XDG_CONFIG_HOME", "NETRC"),
        *("KRB5_CONFIG", "SASL_PATH", "BASH_ENV", "ENV", "PERL5LIB", "HOSTALIASES"),
    ],
)
def test_variable_that_decides_what_is_loaded_is_dropped_for_root(name: str) -> None:
    environ = {**KEPT, name: "/home/x", "PATH": "/home/x/bin:/usr/bin"}
    clean_environment(environ, uid=0)
    assert environ == {**KEPT, "PATH": SYSTEM_PATH}


@pytest.mark.parametrize("name", ["LANGUAGE", "LANG", "LC_ALL", "LC_MESSAGES"])
def test_locale_that_names_a_place_is_dropped_for_root(name: str) -> None:
    environ = {name: "../../home/x/texts"}
    clean_environment(environ, uid=0)
    assert name not in environ


def test_environment_of_another_user_is_left_as_it_is() -> None:
    environ = {**KEPT, "PYTHONPATH": "/home/x", "PATH": "/home/x/bin", "TMPDIR": "/home/x"}
    before = dict(environ)
    clean_environment(environ, uid=1000)
    assert environ == before


def test_search_path_is_set_where_there_was_none() -> None:
    environ: dict[str, str] = {}
    clean_environment(environ, uid=0)
    assert environ == {"PATH": SYSTEM_PATH}


def test_search_path_has_no_folder_of_a_users_and_no_relative_one() -> None:
    assert all(
        folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin") for folder in SYSTEM_PATH.split(":")
    )
