"""The configuration's files as the disk gives them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snap_self.config.load import Sources, default_config, load_config
from snap_self.errors import ConfigError
from snap_self.system.configfiles import distrust_config, list_config_folder, read_config_file


def sources(folder: Path) -> Sources:
    return Sources(
        env={},
        read=read_config_file,
        listing=list_config_folder,
        distrust=distrust_config,
        folder=folder,
    )


def test_absent_folder_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(sources(tmp_path / "none")) == default_config()


def test_files_on_disk_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[state]\ndir = "/a"\nresume = "1m"')
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/b.toml").write_text('[state]\ndir = "/b"')
    (tmp_path / "conf.d/a.toml").write_text('[state]\ndir = "/c"')
    config = load_config(sources(tmp_path))
    assert (config.state.dir, config.state.resume_s) == (Path("/b"), 60)


def test_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read: not a regular file"):
        load_config(sources(tmp_path))


def test_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "config.toml").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_config(sources(tmp_path))
