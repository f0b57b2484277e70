"""The cloud's part of a hold: send the orders and look until every member is cut, in a given time.

Nothing here writes anything anywhere, and nothing waits for trouble that outlasts a freeze: such a
call is given up, everything is thawed, and only then is it sent again, with patience.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snap_self.cloud.client import EcsClient
from snap_self.cloud.retry import may_pass
from snap_self.errors import SnapSelfError
from snap_self.model.ids import InstanceId
from snap_self.model.progress import Listener
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import WaitFor
from snap_self.ports import Clock
from snap_self.usecases.job.create import Made, make
from snap_self.usecases.job.wait import HELD, Reached, Settled, Waiter, reached

# One cheap question; applications are at rest meanwhile.
WARM_LIMIT_S = 10.0
# A call with less time than this would be given up before it could be answered.
LEAST_CALL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was made while everything was held, and where it stood at the end of that."""

    made: Made
    settled: Settled

    @property
    def whole(self) -> bool:
        """Tell whether everything that the cloud takes into the set is known to be cut."""
        settled = self.settled
        left_out = () if settled.timed_out else settled.missing
        asked = [disk_id for record in settled.records for disk_id in record.order.disk_ids]
        wanted = [disk_id for disk_id in asked if disk_id not in left_out]
        return bool(wanted) and all(
            reached(settled.snapshots.get(disk_id)) >= Reached.CUT for disk_id in wanted
        )

    @property
    def why(self) -> str:
        """Return why it is not whole; empty if it is."""
        if self.whole:
            return ""
        if self.made.errors:
            return f"the freeze ended without a cut: {self.made.errors[0].told}"
        doubt = f" ({self.settled.unseen})" if self.settled.unseen else ""
        return f"the freeze ended before the cut was seen{doubt}"

    @property
    def may_pass(self) -> bool:
        """Tell whether orders are left that may be taken when they are sent again later."""
        return bool(self.made.errors) and all(may_pass(each) for each in self.made.errors)


class HeldCalls:
    """The cloud calls of a hold.

    Args:
        send_again: sends what is left of the orders once nothing is held any more.
    """

    def __init__(
        self,
        cloud: EcsClient,
        clock: Clock,
        listener: Listener,
        *,
        instance_id: InstanceId,
        orders: Sequence[OrderRecord],
        send_again: Callable[[Sequence[OrderRecord]], Made],
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._listener = listener
        self._instance_id = instance_id
        self._orders = tuple(orders)
        self._send_again = send_again

    @property
    def count(self) -> int:
        """Return how many cuts there will be."""
        return len(self._orders)

    def warm(self) -> None:
        """Open the connection and do the imports that the calls need.

        Raises:
            SnapSelfError: the cloud does not answer or refuses.
        """
        self._cloud.warm(self._instance_id, deadline_s=WARM_LIMIT_S)

    def cut(self, limit_s: float) -> Cut:
        """Send the orders and look until all are cut, for at most so many seconds."""
        end = self._clock.monotonic() + limit_s
        made = make(
            self._cloud,
            self._orders,
            instance_id=self._instance_id,
            deadline_s=max(LEAST_CALL_S, limit_s),
            hurried=True,
        )
        if made.errors:
            return Cut(made=made, settled=_unsettled(made))
        waiter = Waiter(self._cloud, self._clock, self._listener, random=lambda: 0.0, looks=HELD)
        try:
            left_s = end - self._clock.monotonic()
            settled = waiter.until(made.records, WaitFor.CUT, timeout_s=left_s)
        except SnapSelfError:
            # What was made is not to be forgotten; the wait after the hold meets this again.
            settled = waiter.known()
        return Cut(made=Made(records=settled.records, errors=()), settled=settled)

    def patiently(self, made: Made | None) -> Made:
        """Send what is not made yet; nothing is held any more."""
        return self._send_again(made.records if made else self._orders)


def _unsettled(made: Made) -> Settled:
    return Settled(records=made.records, snapshots={}, missing=(), timed_out=True, unseen="")
