"""Switching hooks on and off by the one key."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fakes.registration import HOOKS, FakeMachine
from snap_self.changes.registration.machine import AGENT, GUARD
from snap_self.errors import ConfigError, EnvironmentFault, HooksAbsent, RootNeeded, UsageError
from snap_self.model.packages import MANAGERS
from snap_self.usecases.manager_switch import SwitchFile, render, switch

ZYPPER = "/usr/lib/zypp/plugins/commit/snap-self"
REGISTER = ("/bin/sh", f"{HOOKS}/register", "add")


class KeyFile:
    """The file with the key, and a configuration of which it is the last word."""

    def __init__(
        self,
        *enabled: str,
        tables: Mapping[str, object] | None = None,
        fails: OSError | None = None,
        overruled: bool = False,
    ) -> None:
        self.enabled = enabled
        self.written: list[str] = []
        self._tables = tables or {}
        self._fails = fails
        self._overruled = overruled

    def file(self) -> SwitchFile:
        """Return it as the use case sees it."""
        return SwitchFile(
            path="/etc/80.toml",
            load=lambda: self.enabled,
            tables=lambda: self._tables,
            write=self._write,
        )

    def _write(self, text: str) -> None:
        if self._fails:
            raise self._fails
        self.written.append(text)
        if not self._overruled:
            self.enabled = tuple(name for name in MANAGERS if f'"{name}"' in text)


def zypper(placed: str | None, *, register: str | None = "placed it\n") -> FakeMachine:
    """Return a machine with zypper."""
    return FakeMachine(
        programs=("zypper", "snap-self"),
        files={f"{HOOKS}/zypper/snap-self": "z", GUARD: "g", AGENT: "a"}
        | ({ZYPPER: placed} if placed else {}),
        executable=(ZYPPER, GUARD, AGENT),
        says={"/usr/bin/zypper": "zypper 1.14.42", " ".join(REGISTER): register},
    )


def test_disable_writes_the_key_without_it() -> None:
    file = KeyFile(*MANAGERS)
    done = switch(zypper("z").machine(), file.file(), "zypper", on=False)
    assert file.written == [render(("apt", "dnf", "pacman"))]
    assert (done.changed, done.enabled, done.placed) == (True, ("apt", "dnf", "pacman"), ())


def test_disable_registers_nothing() -> None:
    machine = zypper(None)
    switch(machine.machine(), KeyFile(*MANAGERS).file(), "zypper", on=False)
    assert not any(argv[:3] == REGISTER for argv in machine.ran)


@pytest.mark.parametrize("lacks", [GUARD, AGENT])
def test_enable_where_no_hook_could_do_anything_says_so_and_places_nothing(lacks: str) -> None:
    machine, file = zypper(None), KeyFile()
    del machine.files[lacks]
    with pytest.raises(EnvironmentFault, match=lacks) as caught:
        switch(machine.machine(), file.file(), "zypper", on=True)
    assert caught.value.hint
    assert (file.written, machine.ran) == ([], [])


def test_enable_of_what_is_on_writes_nothing() -> None:
    file = KeyFile(*MANAGERS)
    assert not switch(zypper("z").machine(), file.file(), "zypper", on=True).changed
    assert file.written == []


def test_enable_registers_what_is_missing() -> None:
    machine = zypper(None)
    done = switch(machine.machine(), KeyFile("apt").file(), "zypper", on=True)
    assert (*REGISTER, "zypper") in machine.ran
    assert (done.enabled, done.placed) == (("apt", "zypper"), ("placed it",))


def test_enable_leaves_what_somebody_changed() -> None:
    machine = zypper("mine")
    switch(machine.machine(), KeyFile().file(), "zypper", on=True)
    assert not any(argv[:3] == REGISTER for argv in machine.ran)


def test_enable_without_a_name_is_for_all() -> None:
    done = switch(zypper("z").machine(), KeyFile().file(), "", on=True)
    assert done.enabled == MANAGERS


def test_enable_where_no_file_would_call_the_agent_is_refused_and_places_nothing() -> None:
    machine, file = zypper(None), KeyFile()
    del machine.files[GUARD]
    with pytest.raises(HooksAbsent, match="hook-guard is not there"):
        switch(machine.machine(), file.file(), "", on=True)
    assert (machine.ran, file.written) == ([], [])


def test_enable_of_one_that_is_not_here_says_so() -> None:
    here = switch(zypper("z").machine(), KeyFile().file(), "zypper", on=True)
    gone = switch(zypper("z").machine(), KeyFile().file(), "pacman", on=True)
    assert (here.not_here, gone.not_here) == ((), ("pacman",))


@pytest.mark.parametrize("name", ["dnf", "dnf4", "dnf5", "yum"])
def test_enable_of_any_dnf_is_of_the_one_key(name: str) -> None:
    done = switch(zypper("z").machine(), KeyFile("apt").file(), name, on=True)
    assert done.enabled == ("apt", "dnf")


def test_switch_of_unknown_manager_is_refused() -> None:
    file = KeyFile()
    with pytest.raises(UsageError, match="'brew'"):
        switch(zypper("z").machine(), file.file(), "brew", on=True)
    assert file.written == []


@pytest.mark.parametrize(
    "tables",
    [{"package_managers": {"enabled": [], "limit": "9s"}}, {"run": {}}, {"package_managers": 1}],
)
def test_switch_does_not_replace_what_others_wrote(tables: dict[str, object]) -> None:
    file = KeyFile(tables=tables)
    with pytest.raises(ConfigError, match="holds more than"):
        switch(zypper("z").machine(), file.file(), "apt", on=True)
    assert file.written == []


def test_switch_that_is_overruled_says_where_to_look() -> None:
    with pytest.raises(ConfigError, match="by a file after it"):
        switch(zypper("z").machine(), KeyFile(overruled=True).file(), "apt", on=True)


def test_switch_without_root_says_so() -> None:
    file = KeyFile(fails=PermissionError(13, "Permission denied"))
    with pytest.raises(RootNeeded) as caught:
        switch(zypper("z").machine(), file.file(), "apt", on=True)
    assert "/etc/80.toml" in caught.value.message
    assert "sudo" in caught.value.hint


def test_switch_on_full_disk_says_so() -> None:
    file = KeyFile(fails=OSError(28, "No space left on device"))
    with pytest.raises(EnvironmentFault, match="No space left"):
        switch(zypper("z").machine(), file.file(), "apt", on=True)


def test_register_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(EnvironmentFault, match="register add: failed"):
        switch(zypper(None, register=None).machine(), KeyFile().file(), "zypper", on=True)


def test_rendered_file_is_one_table_with_one_key() -> None:
    assert render(("apt", "dnf")).splitlines()[1:] == [
        "[package_managers]",
        'enabled = ["apt", "dnf"]',
    ]
