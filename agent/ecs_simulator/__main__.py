"""The command line: ``python -m ecs_simulator``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from ecs_simulator import description, process
from ecs_simulator.storage.guest import GuestSettings
from ecs_simulator.storage.kernel import StorageError

_EPILOG = """\
When ready, one JSON object is printed on one line of standard output: URLs, the file of the
certificate authority to trust, ids, and each disk's device, link, image and mount point; and the
socket of the control service (HTTP, paths below /_simulator/). Only the user who started it and
root are answered; others of this machine are refused before anything of a request is read. It runs
until SIGTERM, SIGINT or SIGHUP and then takes away all that it made; a watchdog process does the
same when it is killed, and so does the next start, or --clean.

Keys of a disk: size (GiB), category, serial, id, kind (system or data), fs (ext4, xfs, btrfs),
mount, image and bus (virtio or nvme; both with --storage qmp only), and any other field of a disk's
description.

--storage qmp makes the instance a virtual machine (QEMU, in software) that boots from its first
disk: the metadata service answers at 100.100.100.200, the API at 100.100.100.50 port 443, to be
named in the guest's /etc/hosts. StopInstance and StartInstance switch it, AttachDisk and DetachDisk
plug its disks, a snapshot is cut in QEMU. "guest" in the printed object has its sockets: those of
the guest agent, the serial console, and a QEMU monitor.

examples:
  python -m ecs_simulator --disk size=1,fs=ext4,mount=/mnt/a --disk size=1,fs=xfs,mount=/mnt/b
  python -m ecs_simulator --config cloud.toml --profile realistic --state-dir /var/tmp
  python -m ecs_simulator --storage files --policy operator.json
  python -m ecs_simulator --storage qmp --disk size=4,image=root.qcow2 --disk size=1,bus=nvme
  python -m ecs_simulator --clean

exit status: 0 ended as asked; 1 could not start, or something could not be taken away; 2 usage.
"""
_DISK_KEYS = {"size": "size_gib", "id": "disk_id", "type": "kind"}
_NUMBERS = ("size_gib",)


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit status."""
    options = _parser().parse_args(argv)
    if options.watch:
        return process.watch(Path(options.watch))
    if options.clean:
        try:
            return process.clean(say=_say)
        except StorageError as error:
            _say(str(error))
            return 1
    try:
        described = description.describe(_raw(options))
    except description.DescriptionError as error:
        for line in str(error).splitlines():
            _say(line)
        return 2
    wanted = process.ProcessOptions(
        storage=options.storage,
        https=options.https,
        links=options.links,
        state_dir=options.state_dir,
        die_with_parent=options.die_with_parent,
        ca_dir=options.ca_dir,
        executions=options.executions,
        guest=GuestSettings(
            memory_mib=options.guest_memory,
            cpus=options.guest_cpus,
            console=options.guest_console,
            ssh_port=options.guest_ssh_port,
            resume=options.guest_resume,
            options=tuple(options.guest_option),
        ),
    )
    try:
        return process.serve(described, wanted, say=_say)
    except (StorageError, OSError) as error:
        _say(f"cannot start: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m ecs_simulator",
        description="A local Alibaba Cloud ECS: metadata service, ECS and STS API, and disks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="description in TOML (or *.json)")
    add("--disk", action="append", default=[], metavar="K=V,…", help="one more disk (repeatable)")
    add("--region", metavar="ID", help="region id (cn-hangzhou)")
    add("--profile", choices=("fast", "realistic"), help="how long calls and snapshots take (fast)")
    add("--policy", action="append", default=[], metavar="FILE", help="RAM policy of the role")
    add("--host", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    add(
        "--trust-peers-from",
        action="append",
        default=[],
        metavar="NETWORK",
        help="other machines that may ask, such as 192.0.2.0/24 (repeatable; none)",
    )
    for name, what in (
        ("metadata", "metadata service"),
        ("ecs", "API over HTTP"),
        ("ecs-tls", "API over HTTPS"),
    ):
        add(f"--{name}-port", type=int, metavar="N", help=f"port of the {what} (any free one)")
    add("--https", action=argparse.BooleanOptionalAction, default=True, help="serve HTTPS too")
    add(
        "--storage",
        choices=process.STORAGES,
        default="auto",
        help="what holds the disks: loop devices (root), plain files, a virtual machine's (qmp),"
        " nothing (auto: the best of the first two)",
    )
    add(
        "--links",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="make /dev/disk/by-id/virtio-SERIAL for loop disks",
    )
    add("--ca-dir", default="", metavar="DIR", help="keep the certificate authority here")
    add("--executions", default="", metavar="FILE", help="keep what OOS has, and go on with it")
    for name, value, what in (
        ("memory", 1024, "its memory in MiB"),
        ("cpus", 2, "its processors"),
        ("ssh-port", 0, "port on 127.0.0.1 that leads to its port 22"),
    ):
        add(f"--guest-{name}", type=int, default=value, metavar="N", help=f"qmp: {what}")
    add("--guest-console", default="", metavar="FILE", help="qmp: keeps what its console says")
    add("--guest-resume", default="", metavar="FILE", help="qmp: saved state to start it in")
    add("--guest-option", action="append", default=[], metavar="ARG", help="qmp: one more for QEMU")
    add("--state-dir", default="", metavar="DIR", help="where its files go ($TMPDIR or /var/tmp)")
    add("--die-with-parent", action="store_true", help="end when the starting process ends")
    add("--clean", action="store_true", help="take away what killed simulators left, and stop")
    add("--watch", help=argparse.SUPPRESS)
    return parser


def _raw(options: argparse.Namespace) -> description.Raw:
    raw = description.load(Path(options.config)) if options.config else {}
    given = {
        "region_id": options.region,
        "zone_id": options.region and f"{options.region}-i",
        "profile": options.profile,
        "host": options.host,
        "metadata_port": options.metadata_port,
        "ecs_port": options.ecs_port,
        "ecs_tls_port": options.ecs_tls_port,
        "trust_peers_from": options.trust_peers_from or None,
    }
    raw |= {key: value for key, value in given.items() if value is not None}
    if options.disk:
        raw["disks"] = [*raw.get("disks", []), *map(_disk, options.disk)]
    if options.policy:
        policies = [_policy(Path(name)) for name in options.policy]
        raw["roles"] = [{**role, "policies": policies} for role in raw.get("roles", [{}])]
    return raw


def _disk(text: str) -> dict[str, Any]:
    disk: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        key = _DISK_KEYS.get(key, key)
        if not equals or (key in _NUMBERS and not value.isdigit()):
            raise description.DescriptionError(f"--disk {text}: {part!r} is no KEY=VALUE that fits")
        disk[key] = int(value) if key in _NUMBERS else value
    return disk


def _policy(path: Path) -> dict[str, Any]:
    try:
        policy = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise description.DescriptionError(f"--policy {path}: {error}") from error
    if not isinstance(policy, dict):
        raise description.DescriptionError(f"--policy {path}: not an object")
    return policy


class _Parser(argparse.ArgumentParser):
    """Quotes invalid arguments with control characters escaped."""

    def error(self, message: str) -> NoReturn:
        super().error(_printable(message))


def _say(text: str) -> None:
    print(f"ecs_simulator: {_printable(text)}", file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    """Return the text with line ends and terminal control characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


if __name__ == "__main__":
    sys.exit(main())
