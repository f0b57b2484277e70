"""Where a server of the MySQL family keeps its files, by its own word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.applications import fake_tools, process
from fakes.clock import FakeClock
from snap_self.errors import QuiesceFailed, UsageError
from snap_self.model.applications import ApplicationSettings
from snap_self.model.machine import PathFact
from snap_self.quiesce.applications.base import Limit, Server, Tools
from snap_self.quiesce.applications.mysql_places import folders_of, left_out

VARIABLES = {
    "innodb_data_home_dir": "",
    "innodb_log_group_home_dir": "./",
    "innodb_undo_directory": "/undo",
    "log_bin_basename": "/log/binlog",
    "innodb_directories": "/one;/two",
}


def server() -> Server:
    return Server(
        label="mysql",
        process=process(7, "mysqld"),
        data_dir="/data",
        settings=ApplicationSettings(),
        one_cut=True,
        covers=lambda fact: fact.asked.startswith("/data"),
    )


def tools(clock: FakeClock) -> Tools:
    def locate(pid: int, path: str) -> PathFact:
        if path == "/gone":
            raise UsageError("it is not there")
        return PathFact(asked=path, real=path, mount_id=1, devno="8:0")

    return replace(fake_tools(clock), locate=locate)


def test_folders_of_tablespaces_that_are_told_stand_for_those_that_are_listed() -> None:
    told = list(folders_of(VARIABLES, ["./ibdata1", "./db/t.ibd", "/far/db/t.ibd"]))
    assert told == ["", "./", "/undo", "/log", ".", "./db", "/far/db"]


def test_folders_that_are_listed_count_where_tablespaces_are_not_told() -> None:
    assert list(folders_of(VARIABLES, None)) == ["", "./", "/undo", "/log", "/one", "/two"]


def test_folder_that_gets_no_snapshot_is_left_out_and_one_that_is_gone_is_not() -> None:
    clock = FakeClock()
    folders = iter(["", "./", "./db", "/far/db", "/gone", "/far/db"])
    limit = Limit(clock, clock.monotonic() + 5)
    assert left_out(server(), tools(clock), folders, limit) == ["/far/db"]


def test_folders_that_there_is_no_time_for_are_not_passed_over() -> None:
    clock = FakeClock()
    with pytest.raises(QuiesceFailed, match="in time"):
        left_out(server(), tools(clock), iter(["./db"]), Limit(clock, clock.monotonic()))
