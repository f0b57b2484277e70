"""The error tree: every failure a user can meet.

::

    SnapSelfError
    ├── UsageError (2)
    │   └── RuleError                 a value breaks a documented ECS rule
    ├── ConfigError (3)
    ├── EnvironmentFault (4)
    │   ├── NotOnEcs · MetadataUnreachable · MetadataRefused · RootNeeded · StateUnusable
    │   └── MetadataAbsent            a MetadataRefused: the item does not exist
    ├── CredentialsError (5)
    │   ├── NoCredentials · CredentialsUnusable · CredentialsRefused · PermissionRefused
    ├── NothingToSnapshot (6) · DiskUnmapped (6) · TopologyError (6)
    ├── PreconditionRefused (7)
    │   ├── TornSet · DiskNotReady · InstanceNotReady · QuotaReached
    ├── QuiesceFailed (8)
    ├── CloudRefused (9)
    │   └── CloudThrottled · CloudAnswerUnclear
    ├── CloudUnreachable (10)
    ├── SnapshotFailed (11) · SnapshotSetTorn (11)
    ├── WaitRanOut (12)
    ├── LockHeld (13)
    └── ThawFailed (20)

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
    WEAKER = 100
    LEFT_OUT = 101
    NOT_STARTED = 125


class SnapSelfError(Exception):
    """A failure that is explained to the user.

    Args:
        message: one sentence naming the value or thing concerned and what is wrong with it.
        hint: what the reader can do about it; may be empty.
        details: further lines for ``--verbose``; never a secret.
    """

    code: ClassVar[str] = "bug"
    exit_status: ClassVar[ExitStatus] = ExitStatus.BUG

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details


class ApiFault(SnapSelfError):
    """A failure that an answer of the ECS API may stand behind.

    Args:
        message: as in the base class.
        api_code: the API's own ``Code``; empty if no answer of the API stands behind it.
        request_id: what Alibaba Cloud support asks for; may be empty.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: str = "",
        api_code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.api_code = api_code
        self.request_id = request_id


class UsageError(SnapSelfError):
    """The command line asks for something that cannot be asked for."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class RuleError(UsageError):
    """A name, tag, description or duration breaks a documented rule."""

    code = "rule-broken"


class ConfigError(SnapSelfError):
    """One or more faults in the configuration, all of them in the message."""

    code = "config-invalid"
    exit_status = ExitStatus.CONFIG


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


class PreconditionRefused(ApiFault):
    """A precondition of a safe snapshot does not hold."""

    code = "precondition"
    exit_status = ExitStatus.PRECONDITION


class TornSet(PreconditionRefused):
    """A volume spans disks that cannot be cut at one instant."""

    code = "torn-set"


class DiskNotReady(PreconditionRefused):
    """A disk is in a state in which the cloud makes no snapshot of it."""

    code = "disk-not-ready"


class InstanceNotReady(PreconditionRefused):
    """The instance is in a state in which the cloud makes no snapshots."""

    code = "instance-not-ready"


class QuotaReached(PreconditionRefused):
    """A limit of the cloud is reached."""

    code = "quota-reached"


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


class CloudUnreachable(SnapSelfError):
    """No answer from the ECS API within the time allowed.

    Args:
        message: as in the base class.
        maybe_done: what was asked for may have been done although no answer came.
    """

    code = "cloud-unreachable"
    exit_status = ExitStatus.UNREACHABLE

    def __init__(
        self, message: str, *, hint: str = "", details: str = "", maybe_done: bool = False
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


class WaitRanOut(SnapSelfError):
    """The wait ended before the snapshot was ready; the snapshot goes on."""

    code = "wait-ran-out"
    exit_status = ExitStatus.WAIT_RAN_OUT


class LockHeld(SnapSelfError):
    """Another run of the agent holds the lock."""

    code = "lock-held"
    exit_status = ExitStatus.LOCKED


class ThawFailed(SnapSelfError):
    """A filesystem may still be frozen."""

    code = "maybe-frozen"
    exit_status = ExitStatus.MAYBE_FROZEN
