"""What is left for Prometheus, as its own tools read it; rules and dashboard name what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from monitoring_tools import MONITORING, node_exporter, prometheus, promtool, wait_for
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import (
    Counts,
    DiskSummary,
    Interrupted,
    LastRun,
    Summary,
    Unprotected,
)
from snap_self.system.watching.textfile import replace_textfile
from snap_self.watching.metrics import METRICS, exposition

RULES = MONITORING / "snap-self.rules.yml"
TESTS = MONITORING / "snap-self.rules-test.yml"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
# Labels that Prometheus and node_exporter add.
ADDED = {"instance", "job", "file"}
NODE_EXPORTERS_OWN = {"node_textfile_mtime_seconds"}
# What Grafana puts in.
FILLED_IN = {"$__rate_interval": "5m", "$__range": "7d", "$instance": ".*"}
NAME = re.compile(r"\b(?:snap_self|node)_\w+")
SERIES = re.compile(r"\b((?:snap_self|node)_\w+)(?:\{([^}]*)\})?")
NOW = datetime.now(timezone.utc)
OLD = Summary(
    written=NOW,
    version="1.2",
    instance_id="i-1",
    region="cn-x",
    disks=(
        DiskSummary(
            disk_id="d-old",
            cut=NOW - timedelta(days=9),
            consistency=Consistency.FLUSH,
            snapshots=250,
        ),
        DiskSummary(disk_id="d-young", cut=NOW, consistency=Consistency.CRASH, snapshots=1),
    ),
    runs=(
        LastRun(trigger="apt", started=NOW, exit_status=5, result="failed", seconds=1, frozen_s=1),
    ),
    unprotected=Unprotected(at=NOW, manager="apt"),
    interrupted=Interrupted(at=NOW, manager="apt"),
    upload_failed=1,
    went_back=NOW,
    goes_back=NOW,
    counts=Counts(calls={"CreateSnapshotGroup": 1}, throttled={"CreateSnapshotGroup": 1}),
)


def rules() -> dict[str, str]:
    """Return each alert's expression."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    """Yield each panel's title and each of its expressions, as Grafana sends it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in FILLED_IN.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


ALL = [*rules().items(), *dashboard_expressions()]


def test_every_metric_passes_promtool() -> None:
    assert promtool("check", "metrics", given=exposition(OLD, frozen=True)) == ""


def test_rules_pass_promtool() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(RULES))


def test_rules_do_what_their_own_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS.name, cwd=MONITORING)


def test_every_alert_is_tested_to_come_and_to_stay_away() -> None:
    tested: dict[str, list[bool]] = {}
    for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
        for each in test["alert_rule_test"]:
            tested.setdefault(each["alertname"], []).append(bool(each["exp_alerts"]))
    assert set(tested) == set(rules())
    assert [name for name, comes in tested.items() if len(set(comes)) < 2] == []


def test_dashboards_expressions_parse(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, expression) in enumerate(dashboard_expressions())
    ]
    assert len(recorded) > 15
    file = tmp_path / "dashboard.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": recorded}]}))
    assert f"SUCCESS: {len(recorded)} rules found" in promtool("check", "rules", str(file))


@pytest.mark.parametrize(("where", "expression"), ALL)
def test_expression_names_metrics_and_labels_that_there_are(where: str, expression: str) -> None:
    labels = {metric.name: {*metric.labels, *ADDED} for metric in METRICS}
    found = SERIES.findall(expression)
    assert found, where
    for name, matchers in found:
        assert name in labels or name in NODE_EXPORTERS_OWN, f"{where}: {name}"
        used = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
        assert used <= labels.get(name, ADDED), f"{where}: {name}{{{matchers}}}"
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    known = set().union(*(labels.get(name, ADDED) for name, _ in found))
    assert {word.strip() for each in grouped for word in each.split(",")} <= known, where


def test_texts_of_alerts_and_legends_name_labels_that_there_are() -> None:
    every = {label for metric in METRICS for label in metric.labels} | ADDED
    text = RULES.read_text(encoding="utf-8")
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= every
    legends = [
        target["legendFormat"] for panel in DASHBOARD["panels"] for target in panel["targets"]
    ]
    assert set(re.findall(r"\{\{(\w+)\}\}", " ".join(legends))) <= every


def test_dashboard_has_panels_that_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_file_is_served_and_alerts_come_by_the_real_tools(tmp_path: Path) -> None:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    replace_textfile(folder / "snap-self.prom", exposition(OLD, frozen=True))
    (folder / ".snap-self.prom.x.tmp").write_text("half writ")
    with node_exporter(folder, tmp_path / "exporter.log") as address:
        expected = {
            ("SnapSelfSnapshotOld", "d-old", "firing"),
            ("SnapSelfSnapshotLimitNear", "d-old", "firing"),
            ("SnapSelfUploadFailed", None, "firing"),
            ("SnapSelfUnprotected", None, "firing"),
            ("SnapSelfChangeInterrupted", None, "firing"),
            ("SnapSelfWentBack", None, "firing"),
            # For two minutes first.
            ("SnapSelfFrozen", None, "pending"),
        }
        with prometheus(address, RULES, tmp_path) as ask:

            def alerts() -> set[tuple[Any, ...]] | None:
                told = (ask("alerts") or {}).get("alerts", ())
                found = {
                    (each["labels"]["alertname"], each["labels"].get("disk_id"), each["state"])
                    for each in told
                }
                return found if found >= expected else None

            assert wait_for(alerts, "the alerts") == expected
            error = ask("query?query=node_textfile_scrape_error")["result"]
            assert [each["value"][1] for each in error] == ["0"]
            names = set(ask("label/__name__/values"))
            for title, expression in dashboard_expressions():
                assert ask(f"query?query={quote(expression)}") is not None, (title, expression)
    assert {metric.name for metric in METRICS} <= names
