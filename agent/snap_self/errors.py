"""The error tree: every failure a user can meet.

::

    SnapSelfError
    ├── UsageError (2)
    │   └── RuleError                 a value breaks a documented ECS rule
    ├── ConfigError (3)
    ├── EnvironmentFault (4)
    │   ├── NotOnEcs · MetadataUnreachable · MetadataRefused · RootNeeded · HooksAbsent
    │   ├── NotNotified
    │   ├── StateUnusable
    │   └── MetadataAbsent            a MetadataRefused: the item does not exist
    ├── CredentialsError (5)
    │   ├── NoCredentials · CredentialsUnusable · CredentialsRefused · PermissionRefused
    ├── NothingToSnapshot (6) · DiskUnmapped (6) · TopologyError (6)
    ├── NoManifest (6) · NotInManifest (6)
    ├── PreconditionRefused (7)
    │   ├── TornSet · DiskNotReady · InstanceNotReady · QuotaReached
    │   ├── BootApart · SnapshotNotUsable · SnapshotOfOtherDisk · EconomicalMode · DiskShared
    │   ├── RollbackGoesOn · SnapshotNotTagged · SnapshotRunsOut · NotWhileRunning
    │   ├── DisksInUse · CheckFailed · StateInUse
    │   └── DiskCategoryRefused · NoDiskSlot · NoHotPlug · KeyUnusable · BalanceTooLow
    ├── CopyNotOpened (7)
    │   └── CopyInUse · CopyUnlike · CopyDamaged · CopySlow · CopyToolsMissing
    ├── QuiesceFailed (8)
    ├── CloudRefused (9)
    │   ├── CloudThrottled · CloudAnswerUnclear
    │   └── DiskConflict · DiskNotSettled · ResourceGone · TokenReused
    ├── CloudUnreachable (10)
    ├── SnapshotFailed (11) · SnapshotSetTorn (11) · SnapshotGone (11) · SnapshotDamaged (11)
    ├── WaitRanOut (12)
    │   └── CutNotSeen                asked for, and not seen to be cut
    ├── LockHeld (13)
    ├── ThawFailed (20)
    ├── DiskLeft (21)
    ├── RollbackNotCalledOff (22)
    ├── RollbackNotArmed (23)
    └── RollbackUnfinished (24)

Each carries a message (what is the matter), a hint (what to do), a stable code for programs and an
exit status. The text lives here or at the adapter that met the fault; nothing above prints others.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What the process ends with; stable, and listed in the manual."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    ENVIRONMENT = 4
    CREDENTIALS = 5
    UNMAPPED = 6
    PRECONDITION = 7
    QUIESCE = 8
    REFUSED = 9
    UNREACHABLE = 10
    SNAPSHOT_FAILED = 11
    WAIT_RAN_OUT = 12
    LOCKED = 13
    MAYBE_FROZEN = 20
    DISK_LEFT = 21
    WILL_GO_BACK = 22
    NOT_ARMED = 23
    HALF_BACK = 24
    WEAKER = 100
    LEFT_OUT = 101
    RESTORED_IN_PART = 102
    DIFFERENT = 103
    NOT_STARTED = 125


class SnapSelfError(Exception):
    """A failure that is explained to the user.

    Args:
        message: one sentence naming the value or thing concerned and what is wrong with it.
        hint: what the reader can do about it; may be empty.
        details: a further line for ``--verbose``, or several; never a secret.
    """

    code: ClassVar[str] = "bug"
    exit_status: ClassVar[ExitStatus] = ExitStatus.BUG

    def __init__(
        self, message: str, *, hint: str = "", details: str | tuple[str, ...] = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(filter(None, (details,) if isinstance(details, str) else details))

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the message as it is shown, line by line."""
        return (self.message,)

    @property
    def told(self) -> str:
        """Return the message with what others have said of it."""
        return self.message


class ApiFault(SnapSelfError):
    """A failure that an answer of the ECS API may stand behind.

    Args:
        message: as in the base class.
        api_code: the API's own ``Code``; empty if no answer of the API stands behind it.
        api_message: the API's own ``Message``.
        request_id: what Alibaba Cloud support asks for; may be empty.

    Attributes:
        action: what a RAM policy calls the refused operation; empty where none was refused.
        maybe_done: an earlier try, whose answer was lost, may have done what was asked for.
    """

    action = ""
    maybe_done = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: str | tuple[str, ...] = "",
        api_code: str = "",
        api_message: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.api_code = api_code
        self.api_message = api_message
        self.request_id = request_id

    @property
    def said(self) -> str:
        """Return what the API said: code, message and the id of the request; may be empty."""
        if not self.api_code:
            return ""
        message = f": {self.api_message}" if self.api_message else ""
        return f"{self.api_code}{message}; request id {self.request_id or 'not known'}"

    @property
    def told(self) -> str:
        """Return the message with the cloud's own words and the id of the request."""
        words = [self.api_message, f"request id {self.request_id}" if self.request_id else ""]
        if self.api_message and self.api_message in self.message:
            words = words[1:]
        more = "; ".join(filter(None, words))
        return f"{self.message} ({more})" if more else self.message


class UsageError(SnapSelfError):
    """The command line asks for something that cannot be asked for."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class RuleError(UsageError):
    """A name, tag, description or duration breaks a documented rule."""

    code = "rule-broken"


class ConfigError(SnapSelfError):
    """One or more faults in the configuration, all of them in the message.

    Args:
        message: as in the base class; with several faults, what they are faults of.
        faults: each on a line of its own, where there are several.

    Attributes:
        faults: each of them; the message, where that is all there is.
    """

    code = "config-invalid"
    exit_status = ExitStatus.CONFIG

    def __init__(self, message: str, *, hint: str = "", faults: tuple[str, ...] = ()) -> None:
        self.faults = faults or (message,)
        self._lines = (message, *(f"  {fault}" for fault in faults))
        super().__init__("\n".join(self._lines), hint=hint)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the message as it is shown, line by line."""
        return self._lines


class EnvironmentFault(SnapSelfError):
    """This machine is not as the agent needs it."""

    code = "environment"
    exit_status = ExitStatus.ENVIRONMENT


class NotOnEcs(EnvironmentFault):
    """This machine does not look like an ECS instance."""

    code = "not-on-ecs"


class MetadataUnreachable(EnvironmentFault):
    """The metadata service does not answer."""

    code = "metadata-unreachable"


class MetadataRefused(EnvironmentFault):
    """The metadata service answers, but not with what was asked for."""

    code = "metadata-refused"


class MetadataAbsent(MetadataRefused):
    """The metadata service has no such item."""

    code = "metadata-absent"


class RootNeeded(EnvironmentFault):
    """The step needs root and the process is not root."""

    code = "root-needed"


class HooksAbsent(EnvironmentFault):
    """Package managers' hooks did not come with this installation."""

    code = "hooks-absent"


class NotNotified(EnvironmentFault):
    """A test message did not reach everybody whom the configuration names."""

    code = "not-notified"


class StateUnusable(EnvironmentFault):
    """The state directory cannot be read or written."""

    code = "state-unusable"


class CredentialsError(ApiFault):
    """Credentials are missing, unusable, or not allowed to do what was asked."""

    code = "credentials"
    exit_status = ExitStatus.CREDENTIALS


class NoCredentials(CredentialsError):
    """No source of the chain gave credentials."""

    code = "credentials-missing"


class CredentialsUnusable(CredentialsError):
    """A source of the chain is set up, but broken or of a kind the agent does not use."""

    code = "credentials-unusable"


class CredentialsRefused(CredentialsError):
    """The cloud does not accept the credentials: unknown, disabled, expired or wrongly signed."""

    code = "credentials-refused"


class PermissionRefused(CredentialsError):
    """The credentials are good, but their policy does not allow the action."""

    code = "permission-refused"


class NothingToSnapshot(SnapSelfError):
    """After selection no disk is left that can be snapshotted."""

    code = "nothing-to-snapshot"
    exit_status = ExitStatus.UNMAPPED


class DiskUnmapped(SnapSelfError):
    """A local disk cannot be tied to a cloud disk for certain."""

    code = "disk-unmapped"
    exit_status = ExitStatus.UNMAPPED


class TopologyError(SnapSelfError):
    """The kernel's description of the disks cannot be understood."""

    code = "topology-unclear"
    exit_status = ExitStatus.UNMAPPED


class NoManifest(SnapSelfError):
    """A run has no manifest here, so what changed since cannot be told from it."""

    code = "no-manifest"
    exit_status = ExitStatus.UNMAPPED


class NotInManifest(SnapSelfError):
    """A manifest has nothing of what was asked for."""

    code = "not-in-manifest"
    exit_status = ExitStatus.UNMAPPED


class PreconditionRefused(ApiFault):
    """A precondition of a safe snapshot does not hold."""

    code = "precondition"
    exit_status = ExitStatus.PRECONDITION


class TornSet(PreconditionRefused):
    """A volume spans disks that cannot be cut at one instant, or do not all go back."""

    code = "torn-set"


class DiskNotReady(PreconditionRefused):
    """A disk is in a state in which the cloud neither makes a snapshot of it nor resets it."""

    code = "disk-not-ready"


class InstanceNotReady(PreconditionRefused):
    """The instance is in a state in which the cloud makes no snapshots and resets no disks."""

    code = "instance-not-ready"


class BootApart(PreconditionRefused):
    """The system would go back without a part that it starts with, or that part without it."""

    code = "boot-apart"


class SnapshotNotUsable(PreconditionRefused):
    """A snapshot cannot be gone back to, not yet or not at all."""

    code = "snapshot-not-usable"


class SnapshotOfOtherDisk(PreconditionRefused):
    """A snapshot is of none of the disks that it could be brought back to."""

    code = "snapshot-of-other-disk"


class OnTemporaryDisk(PreconditionRefused):
    """What is meant lies on a temporary disk of snap-self's own, such as after a power cut."""

    code = "on-temporary-disk"


class EconomicalMode(PreconditionRefused):
    """The instance is stopped in economical mode, so it may not start again."""

    code = "economical-mode"


class DiskShared(PreconditionRefused):
    """A disk is attached to several instances, all of which would have to stand still."""

    code = "disk-shared"


class RollbackGoesOn(PreconditionRefused):
    """Another rollback of this instance has been started and has not ended."""

    code = "rollback-goes-on"


class SnapshotNotTagged(PreconditionRefused):
    """A snapshot lacks the tag by which a role may go back to it, or look into it."""

    code = "snapshot-not-tagged"


class SnapshotRunsOut(PreconditionRefused):
    """A snapshot is deleted by the cloud before it could be gone back to."""

    code = "snapshot-runs-out"


class NotWhileRunning(PreconditionRefused):
    """Something lies on a disk that cannot go back while the system runs."""

    code = "not-while-running"


class DisksInUse(PreconditionRefused):
    """Something uses a disk that is to go back, and was not asked to stop."""

    code = "disks-in-use"


class StateInUse(PreconditionRefused):
    """What the agent has kept cannot be forgotten: something of it goes on."""

    code = "state-in-use"


class CheckFailed(PreconditionRefused):
    """A check that was to confirm did not succeed, so nothing was confirmed."""

    code = "check-failed"


class QuotaReached(PreconditionRefused):
    """A limit of the cloud is reached."""

    code = "quota-reached"


class DiskCategoryRefused(PreconditionRefused):
    """The cloud makes no disk of that category or size here; it may make one of another."""

    code = "disk-category-refused"


class NoDiskSlot(PreconditionRefused):
    """As many disks are attached to the instance as its type takes."""

    code = "no-disk-slot"


class NoHotPlug(PreconditionRefused):
    """The instance's type takes no disk, or not this one, while it runs."""

    code = "no-hot-plug"


class KeyUnusable(PreconditionRefused):
    """The key that encrypts a snapshot is gone or may not be used."""

    code = "encryption-key-unusable"


class BalanceTooLow(PreconditionRefused):
    """The account may buy nothing."""

    code = "balance-too-low"


class CopyNotOpened(SnapSelfError):
    """A copy of a disk could not be opened; nothing of it is mounted."""

    code = "copy-not-opened"
    exit_status = ExitStatus.PRECONDITION


class CopyInUse(CopyNotOpened):
    """Somebody else uses the device of the copy, so it is not touched."""

    code = "copy-in-use"


class CopyUnlike(CopyNotOpened):
    """The copy does not hold what the original's layout says."""

    code = "copy-unlike"


class CopyDamaged(CopyNotOpened):
    """The kernel refuses to mount what the copy holds."""

    code = "copy-damaged"


class CopySlow(CopyNotOpened):
    """The copy's disk did not answer for too long."""

    code = "copy-slow"


class CopyToolsMissing(CopyNotOpened):
    """A program that the copy needs is not installed."""

    code = "copy-tools-missing"


class QuiesceFailed(SnapSelfError):
    """The consistency asked for was not reached and the policy is abort."""

    code = "quiesce-failed"
    exit_status = ExitStatus.QUIESCE


class CloudRefused(ApiFault):
    """The ECS API answered with an error that trying again does not mend."""

    code = "cloud-refused"
    exit_status = ExitStatus.REFUSED


class CloudThrottled(CloudRefused):
    """The API kept answering that too many calls are made."""

    code = "cloud-throttled"


class CloudAnswerUnclear(CloudRefused):
    """The API's answer does not have the documented form."""

    code = "cloud-answer-unclear"


class DiskConflict(CloudRefused):
    """Another operation on the disk or its instance is under way; it may do later."""

    code = "disk-conflict"


class DiskNotSettled(CloudRefused):
    """The disk is in another state than the operation needs; it may do later."""

    code = "disk-not-settled"


class ResourceGone(CloudRefused):
    """The cloud does not know a disk, snapshot or instance, or does not any more."""

    code = "resource-gone"


class TokenReused(CloudRefused):
    """A client token was used before, with other parameters."""

    code = "token-reused"


class CloudUnreachable(SnapSelfError):
    """No answer from the ECS API within the time allowed.

    Args:
        message: as in the base class.
        maybe_done: what was asked for may have been done although no answer came.
    """

    code = "cloud-unreachable"
    exit_status = ExitStatus.UNREACHABLE

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: str | tuple[str, ...] = "",
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.maybe_done = maybe_done


class SnapshotFailed(SnapSelfError):
    """The cloud reported a snapshot as failed."""

    code = "snapshot-failed"
    exit_status = ExitStatus.SNAPSHOT_FAILED


class SnapshotSetTorn(SnapshotFailed):
    """A snapshot set lacks a disk that one of its volumes needs."""

    code = "snapshot-set-torn"


class SnapshotGone(SnapshotFailed):
    """A snapshot of the run was there and is not shown any more."""

    code = "snapshot-gone"


class SnapshotDamaged(SnapshotFailed):
    """What a snapshot holds was looked at, and is damaged."""

    code = "snapshot-damaged"


class WaitRanOut(SnapSelfError):
    """The wait ended before the snapshot was ready; the snapshot goes on."""

    code = "wait-ran-out"
    exit_status = ExitStatus.WAIT_RAN_OUT


class CutNotSeen(WaitRanOut):
    """The wait ended before the snapshot that was asked for was seen to be cut."""

    code = "cut-not-seen"


class LockHeld(SnapSelfError):
    """Another run of the agent holds the lock."""

    code = "lock-held"
    exit_status = ExitStatus.LOCKED


class ThawFailed(SnapSelfError):
    """A filesystem may still be frozen."""

    code = "maybe-frozen"
    exit_status = ExitStatus.MAYBE_FROZEN


class DiskLeft(SnapSelfError):
    """A temporary disk could not be deleted, and costs money."""

    code = "disk-left"
    exit_status = ExitStatus.DISK_LEFT


class RollbackNotCalledOff(SnapSelfError):
    """The machine will be rolled back by itself, as that could not be called off."""

    code = "rollback-not-called-off"
    exit_status = ExitStatus.WILL_GO_BACK


class RollbackNotArmed(SnapSelfError):
    """The snapshot is made, but the rollback that was to wait for a confirmation is not armed."""

    code = "rollback-not-armed"
    exit_status = ExitStatus.NOT_ARMED


class RollbackUnfinished(SnapSelfError):
    """Disks that go back while the system runs are half-way: what lies on them cannot be used."""

    code = "rollback-unfinished"
    exit_status = ExitStatus.HALF_BACK


def code_of(status: ExitStatus) -> str:
    """Return the code of the most general failure that ends with a status."""
    kinds = [SnapSelfError]
    while kinds and all(kind.exit_status is not status for kind in kinds):
        kinds = [below for kind in kinds for below in kind.__subclasses__()]
    return next((kind.code for kind in kinds if kind.exit_status is status), SnapSelfError.code)
