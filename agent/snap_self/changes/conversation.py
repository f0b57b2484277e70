"""How a package manager's hook talks with its manager; one subclass for each manager."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from snap_self.model.packages import Transaction

PROCEED_STATUS = 0
# The guard scripts turn exactly this into what stops their manager. Any other status is a broken
# agent, which must not hold the package manager up.
STOP_STATUS = 125


class Conversation:
    """One call of a hook: what is announced, and the answer.

    An ordinary base class, since ``typing.Protocol`` costs a hook five milliseconds.

    Args of every subclass: the streams it speaks over, and what it needs of the environment.
    """

    can_veto = True
    # Whatever reads standard output of this hook; people are told on standard error only.
    silence_s: float | None = None  # the manager gives up after so long without a byte

    def transaction(self) -> Transaction | None:
        """Read what is announced; None where nothing is about to change.

        Raises:
            ValueError: what the manager said cannot be understood; says where.
        """
        raise NotImplementedError

    def keep_alive(self) -> None:
        """Tell the manager that the answer is still to come; called every few seconds."""

    def proceed(self) -> int:
        """Answer that the change may go on, and return the exit status."""
        return PROCEED_STATUS

    def stop(self, reason: str) -> int:
        """Answer that the change must not go on, and return the exit status.

        Args:
            reason: one line for the person who waits.
        """
        del reason
        return STOP_STATUS
