"""How a package manager's hook talks with its manager; one subclass for each manager.

``cli/hooking.py`` has the table of them (name of the hook to ``module:Class``) and drives every one
the same way::

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
        """What a conversation may need of the machine; ``system/hook_outside.py`` has it."""

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
# The guard scripts turn exactly this into what stops their manager. Any other status is a broken
# agent, which must not hold the package manager up.
STOP_STATUS = 125
KEEP_ALIVE_S = 5.0


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

    def transaction(self) -> Transaction | None:
        """Read what is announced; None where nothing is about to change.

        Raises:
            ValueError: what the manager said cannot be understood; says where.
        """
        raise NotImplementedError

    def detail(self, transaction: Transaction) -> None:
        """Add to the transaction what costs time to find out; called when a snapshot is due."""

    def say(self, text: str) -> None:
        """Tell the person who waits one line; where standard error is not seen, elsewhere."""
        try:
            self.stderr.write(f"snap-self: {text}\n")
            self.stderr.flush()
        except (OSError, ValueError):
            return  # nobody listens; the change must not fail of it

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
