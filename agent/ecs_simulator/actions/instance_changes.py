"""Operations that start, stop, reboot, change and release instances; all but one finish later."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.instances import one_resource
from ecs_simulator.attaching import release
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.records import Instance
from ecs_simulator.rules import check_description, check_name, check_password

_HOST_NAME = re.compile(r"[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*")
_USER_DATA_LIMIT = 32 * 1024


def stop_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to stop a running instance."""
    params = call.params
    mode = params.text("StoppedMode") or cloud.config.default_stopped_mode
    if mode not in ("KeepCharging", "StopCharging"):
        raise ApiError("InvalidParameter.StoppedMode", "The specified StoppedMode is not valid.")
    with cloud.state.lock:
        instance = _changeable(cloud, params, "Running")
        check_dry_run(params)
        _begin_to_stop(cloud, instance)
    force = params.flag("ForceStop")
    finish = partial(_stopped, cloud, instance, mode, force=force)
    _later(cloud, "StopInstance", instance, finish, back="Running")
    return {}


def _begin_to_stop(cloud: Cloud, instance: Instance) -> None:
    # Cloud Assistant counts as running for a while after it was last heard.
    cloud.assistant.last_heard(instance.instance_id)
    instance.status = "Stopping"


def _stopped(cloud: Cloud, instance: Instance, mode: str, *, force: bool) -> None:
    _power_off(cloud, instance, force=force)
    _arrive(cloud, instance, "Stopped", mode)


def _power_off(cloud: Cloud, instance: Instance, *, force: bool) -> None:
    if instance is cloud.own_instance:
        cloud.power.off(force=force)


def start_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to start a stopped instance."""
    with cloud.state.lock:
        instance = _changeable(cloud, call.params, "Stopped")
        _check_disks(cloud, instance)
        check_dry_run(call.params)
        instance.status = "Starting"
    _later(cloud, "StartInstance", instance, partial(_started, cloud, instance), back="Stopped")
    return {}


def _check_disks(cloud: Cloud, instance: Instance) -> None:
    """Refuse to start an instance without a system disk, or with a disk that is being reset."""
    disks = cloud.state.disks_of(instance.instance_id)
    if not any(disk.kind == "system" for disk in disks):
        raise ApiError("InvalidInstance.NotFoundSystemDisk")
    if any(disk.status in ("ReIniting", "ReInitFailed") for disk in disks):
        raise ApiError("DiskError", "IncorrectDiskStatus.")


def _started(cloud: Cloud, instance: Instance) -> None:
    # First, so that a machine that ends at once is seen as stopped.
    with cloud.state.lock:
        for name, value in instance.at_start.items():
            setattr(instance, name, value)
        instance.at_start.clear()
        instance.started_at = cloud.clock.now()
    _arrive(cloud, instance, "Running", "Not-applicable")
    if instance is cloud.own_instance:
        cloud.power.on()


def reboot_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to restart a running instance."""
    with cloud.state.lock:
        instance = _changeable(cloud, call.params, "Running")
        check_dry_run(call.params)
        _begin_to_stop(cloud, instance)
    force = call.params.flag("ForceStop")

    def finish() -> None:
        _power_off(cloud, instance, force=force)
        _started(cloud, instance)

    _later(cloud, "RebootInstance", instance, finish, back="Running")
    return {}


def delete_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to release an instance; ``attaching.release`` tells what becomes of its disks."""
    params = call.params
    with cloud.state.lock:
        instance = cloud.instance(params.required("InstanceId"))
        if instance.charge_type == "PrePaid":  # none here has expired
            raise ApiError("ChargeTypeViolation")
        if instance.deletion_protection:
            raise ApiError("InvalidOperation.DeletionProtection")
        allowed = ("Stopped", "Running") if params.flag("Force") else ("Stopped",)
        if instance.status not in allowed:
            raise ApiError("IncorrectInstanceStatus")
        check_dry_run(params)
        before, instance.status = instance.status, "Stopping"
    force = params.flag("ForceStop", default=True)

    def finish() -> None:
        _power_off(cloud, instance, force=force)
        _arrive(cloud, instance, "Stopped", "Not-applicable")
        release(cloud, instance)

    _later(cloud, "DeleteInstance", instance, finish, back=before)
    return {}


def modify_instance_attribute(cloud: Cloud, call: Call) -> Json:
    """Change an instance's texts and protection; host name and user data at the next start."""
    params = call.params
    name = params.required("InstanceId")
    check_name(params.text("InstanceName"), "InvalidInstanceName.Malformed")
    check_description(params.text("Description"))
    host_name = params.text("HostName")
    if host_name and not (2 <= len(host_name) <= 64 and _HOST_NAME.fullmatch(host_name)):
        raise ApiError("InvalidHostName.Malformed", "The specified HostName is wrongly formed.")
    check_password(params.text("Password"))
    user_data = _user_data(params)
    with cloud.state.lock:
        instance = cloud.instance(name)
        if "security" in instance.locks:
            raise ApiError("InstanceLockedForSecurity")
        late = host_name or params.text("Password")
        if instance.status in ("Pending", "Starting") and late:
            raise ApiError("IncorrectInstanceStatus")
        instance.name = params.text("InstanceName") or instance.name
        instance.description = params.text("Description", instance.description)
        if params.given("DeletionProtection"):
            instance.deletion_protection = params.flag("DeletionProtection")
        if host_name:
            instance.at_start["hostname"] = host_name
        if user_data is not None:
            instance.at_start["user_data"] = user_data
    return {}


def _user_data(params: Params) -> bytes | None:
    if not params.text("UserData"):
        return None
    try:
        plain = base64.b64decode(params.text("UserData"), validate=True)
    except binascii.Error:
        raise ApiError("InvalidUserData.Base64FormatInvalid") from None
    if len(plain) > _USER_DATA_LIMIT:
        raise ApiError("InvalidUserData.SizeExceeded")
    return plain


def _later(
    cloud: Cloud, action: str, instance: Instance, finish: Callable[[], None], *, back: str
) -> None:
    """Finish an operation after its time; if the machine refuses, the instance stays as it was."""

    def fail() -> None:
        _arrive(cloud, instance, back, instance.stopped_mode)

    def run() -> None:
        try:
            finish()
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            cloud.storage_faults.append(f"{instance.status} {instance.instance_id}: {error}")
            fail()

    def switch() -> None:
        if instance is cloud.own_instance:
            cloud.power.switch(run)
        else:
            run()

    cloud.pace.begin(action, instance.instance_id, switch, fail)


def _changeable(cloud: Cloud, params: Params, status: str) -> Instance:
    instance = cloud.instance(params.required("InstanceId"))
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if instance.status != status:
        raise ApiError("IncorrectInstanceStatus")
    return instance


def _arrive(cloud: Cloud, instance: Instance, status: str, stopped_mode: str) -> None:
    with cloud.state.lock:
        instance.status, instance.stopped_mode = status, stopped_mode


OPERATIONS = tuple(
    Operation(name=name, run=run, resources=one_resource)
    for name, run in (
        ("StopInstance", stop_instance),
        ("StartInstance", start_instance),
        ("RebootInstance", reboot_instance),
        ("DeleteInstance", delete_instance),
        ("ModifyInstanceAttribute", modify_instance_attribute),
    )
)
