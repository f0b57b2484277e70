"""`doctor`: every precondition, and a recording of the machine for a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from snap_self.cli.adapters import check_ca_bundle
from snap_self.cli.attempts import trail, try_freeze, try_hold
from snap_self.cli.manager_commands import managers_glance
from snap_self.cli.notify import notify_findings
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.cli.wiring import usable_settings
from snap_self.config.load import Loaded
from snap_self.config.settings import Config
from snap_self.errors import ConfigError
from snap_self.output.diagnosis import write_diagnosis
from snap_self.system.installation import read_installation
from snap_self.system.state.copies import CopyJournal
from snap_self.usecases.doctor import diagnose


def run_doctor(manner: Manner, *, record: Path | None) -> int:
    """Check every precondition.

    Args:
        record: a folder where what was found is written down.
    """
    found: list[Loaded] = []
    with open_session(manner, load=partial(_usable, found)) as session:
        (loaded,) = found
        adapters, root = session.adapters, os.geteuid() == 0
        diagnosis = diagnose(
            session.tools(),
            credentials=partial(trail, adapters),
            root=root,
            try_freeze=partial(try_freeze, adapters) if root and adapters.root_may_freeze else None,
            try_hold=partial(try_hold, adapters) if root else None,
            excluded=session.config.disks.exclude,
            hooks=managers_glance(session.config.package_managers.enabled),
            keys_from=lambda: adapters.provider.source,
            fault=loaded.fault,
            state_known="state.dir" not in loaded.in_doubt,
            installation=read_installation(),
            copies=CopyJournal(session.config.state.dir).done,
        )
        told = notify_findings(adapters)
        diagnosis = replace(diagnosis, findings=(*diagnosis.findings, *told))
        if record is not None:
            from snap_self.cli.recorded import write_recording

            write_recording(adapters, record)
            session.streams.message(f"Recorded in {record}; read it before you give it away.")
    write_diagnosis(session.streams, diagnosis)
    return int(diagnosis.exit_status)


def _usable(found: list[Loaded], env: Mapping[str, str]) -> Config:
    """Return the configuration without what has a fault; all that is known of it is noted."""
    loaded = usable_settings(env)
    config, fault = loaded.config, loaded.fault
    try:
        check_ca_bundle(config.network.ca_bundle)
    except ConfigError as error:
        # TLS would go on with no certificate at all, and each check would end in this.
        config = replace(config, network=replace(config.network, ca_bundle=""))
        known = fault.faults if fault else ()
        hint = fault.hint if fault else error.hint
        fault = ConfigError(error.message, hint=hint, faults=(*known, *error.faults))
    found.append(replace(loaded, config=config, fault=fault))
    return config
