"""How a package manager's hook talks with its manager; one subclass for each manager.

``model/packages.py`` has the table of them; ``cli/manager_hook.py`` makes one and
``usecases/before_change.py`` drives every one the same way::

    conversation = Class(stdin, stdout, stderr, env, outside)
    transaction = conversation.transaction()   # ValueError: not understood
    conversation.detail(transaction)  # where it was found risky; else nobody waits for it
    conversation.say("taking a snapshot of …")  # for people; never before something is to be told
    conversation.keep_alive()                  # every KEEP_ALIVE_S while the snapshot is made
    status = conversation.proceed()            # or .stop("why"); the process's exit status

A module with a subclass imports nothing slow at its top: no ``re``, ``json``, ``enum``, ``typing``,
``dataclasses``, ``subprocess``; what a rare case needs is imported where it is met.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO, Protocol, TextIO

    from snap_self.model.packages import Transaction

    class Outside(Protocol):
        """What a conversation may need of the machine; ``system/managers/outside.py`` has it."""

        def open_input(self, descriptor: int) -> BinaryIO:
            """Open a file descriptor that was inherited. Raises OSError."""

        def parent_pid(self) -> int:
            """Return the process that started this one."""

        def executable(self, pid: int) -> str:
            """Return the path of a process's program, or an empty string."""

        def parent_of(self, pid: int) -> int:
            """Return a process's parent, 0 where it is not known."""

        def arguments(self, pid: int) -> tuple[str, ...]:
            """Return a process's command line, empty where it is not known."""

        def ask(self, argv: Sequence[str], *, limit_s: float) -> str | None:
            """Return what a program prints; None if it fails, is missing or takes too long."""

        def names_in(self, folder: str) -> Sequence[str]:
            """Return the names of a folder's entries; none if it cannot be read."""

        def tell_terminal(self, text: str) -> None:
            """Write a line to the terminal that controls this process, if there is one."""

        def tell_system_log(self, text: str) -> None:
            """Write a line to the system's log, if there is one."""

        def interrupt(self, pid: int) -> bool:
            """Send SIGINT to a process; tell whether it was there."""


PROCEED_STATUS = 0
# The guard turns exactly these two into what stops its manager. Any other status is a broken agent,
# which must not hold the package manager up. No program between the guard and the agent uses them:
# timeout(1), env(1) and nice(1) have 124 to 127 and 137, a shell 128 and more.
STOP_STATUS = 99
INTERRUPTED_STATUS = 98
KEEP_ALIVE_S = 5.0
# Set by the programs that bring a system to its next release.
RELEASE_UPGRADE = "RELEASE_UPGRADE_IN_PROGRESS"
# Of a line that every terminal takes whole.
COLUMNS = 79


def _said(line: str) -> str:
    return f"snap-self: {line}"


class Conversation:
    """One call of a hook: what is announced, and the answer.

    An ordinary base class, since ``typing.Protocol`` costs a hook five milliseconds.

    Args:
        stdin: the hook's standard input, binary.
        stdout: the hook's standard output, binary; only for a protocol.
        stderr: for people.
        env: the hook's environment.
        outside: what else may be asked of the machine.
    """

    can_veto = True
    # Its manager makes no change when the hook was interrupted.
    ends_interrupted = True
    # The manager gives up after so long without a byte.
    silence_s: float | None = None

    def __init__(
        self,
        stdin: BinaryIO,
        stdout: BinaryIO,
        stderr: TextIO,
        env: Mapping[str, str],
        outside: Outside,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.env = env
        self.outside = outside

    @property
    def in_release_upgrade(self) -> bool:
        """Tell whether a release upgrade is going on, whatever is announced."""
        return bool(self.env.get(RELEASE_UPGRADE))

    def transaction(self) -> Transaction | None:
        """Read what is announced; None where nothing is about to change.

        Raises:
            ValueError: what the manager said cannot be understood; says where.
        """
        raise NotImplementedError

    def detail(self, transaction: Transaction) -> None:
        """Add to the transaction what costs time to find out; called when a snapshot is due."""

    def say(self, text: str) -> None:
        """Tell the person who waits one line, whatever the text holds."""
        # Names come from package lists, and a terminal obeys what it is shown.
        from snap_self.model.shown import printable

        self.tell(printable(text))

    def tell(self, line: str) -> None:
        """Write a printable line; where standard error is not seen, elsewhere."""
        try:
            self.stderr.write(f"{self.lines_of(line) if self.stderr.isatty() else _said(line)}\n")
            self.stderr.flush()
        except (OSError, ValueError):
            return  # nobody listens; the change must not fail of it

    @staticmethod
    def lines_of(line: str) -> str:
        """Return what is said to a terminal, broken between words."""
        from snap_self.model.wrapping import wrapped

        return "\n".join(wrapped(_said(line), COLUMNS, indent="  "))

    def keep_alive(self) -> None:
        """Tell the manager that the answer is still to come; called every few seconds."""

    def proceed(self) -> int:
        """Answer that the change may go on, and return the exit status."""
        return PROCEED_STATUS

    def stop(self, reason: str) -> int:
        """Answer that the change must not go on, and return the exit status.

        Args:
            reason: one line for the person who waits; already told by ``say``.
        """
        del reason
        return STOP_STATUS
