"""What the simulator makes, writes or removes is its own: no link leads it to somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_simulator.config import SimulatorConfig
from ecs_simulator.controls import Controls
from ecs_simulator.storage import own
from ecs_simulator.storage.files import FileStorage
from ecs_simulator.storage.kernel import StorageError
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.loop import LoopStorage, what_loops_need
from ecs_simulator.tls import kept_authority
from other_user import NOBODY

OTHERS = "somebody else's"
Stored = FileStorage | LoopStorage


@pytest.fixture(params=["files", pytest.param("loop", marks=pytest.mark.root)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    if request.param == "files":
        yield FileStorage(work)
        return
    missing = what_loops_need(tmp_path)
    if missing:
        pytest.skip(f"no loop disks here: {missing}")
    ledger = Ledger.create(tmp_path / "run")
    try:
        yield LoopStorage(work, ledger, links=None)
    finally:
        assert ledger.close() == []


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text(OTHERS)
    return path


@pytest.fixture
def image(storage: Stored) -> Path:
    """Return the image of a disk that was cut once."""
    path = Path(storage.create_disk("d-a", "a", 1))
    storage.cut([("d-a", "s-1")])
    if isinstance(storage, LoopStorage):
        path = storage.disk("d-a").image
    return path


def put_link(image: Path, victim: Path) -> None:
    image.unlink()
    image.symlink_to(victim)


def test_reset_of_an_image_that_became_a_link_writes_nothing_through_it(
    storage: Stored, image: Path, victim: Path
) -> None:
    put_link(image, victim)
    with pytest.raises(StorageError, match="not a plain file of this user"):
        storage.reset_disk("d-a", "s-1")
    assert victim.read_text() == OTHERS


def test_reset_of_an_image_with_a_second_name_writes_nothing_to_it(
    storage: Stored, image: Path
) -> None:
    other = image.parent / "other"
    other.write_text(OTHERS)
    image.unlink()
    image.hardlink_to(other)
    with pytest.raises(StorageError, match="not a plain file of this user"):
        storage.reset_disk("d-a", "s-1")
    assert other.read_text() == OTHERS


@pytest.mark.root
def test_reset_of_an_image_of_another_user_writes_nothing_to_it(
    storage: Stored, image: Path
) -> None:
    image.unlink()
    image.write_text(OTHERS)
    os.chown(image, NOBODY, NOBODY)
    with pytest.raises(StorageError, match="not a plain file of this user"):
        storage.reset_disk("d-a", "s-1")
    assert image.read_text() == OTHERS


def test_pipe_in_an_images_place_is_not_waited_for(storage: Stored, image: Path) -> None:
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(StorageError, match="not a plain file of this user"):
        storage.reset_disk("d-a", "s-1")


def test_disk_is_not_made_where_a_link_lies(storage: Stored, image: Path, victim: Path) -> None:
    image.with_name("d-b.img").symlink_to(victim)
    image.with_name("d-c.img").symlink_to(victim.with_name("nothing"))
    for disk_id in ("d-b", "d-c"):
        with pytest.raises(OSError, match="exists"):
            storage.create_disk(disk_id, "b", 1)
    assert victim.read_text() == OTHERS
    assert not victim.with_name("nothing").exists()


def test_deleted_disk_whose_image_became_a_link_takes_the_link_alone(
    storage: Stored, image: Path, victim: Path
) -> None:
    put_link(image, victim)
    storage.delete_disk("d-a")
    assert not image.is_symlink()
    assert victim.read_text() == OTHERS


@pytest.mark.parametrize("name", ["../d-a", "d-a/../../x", "", "d-a\0", "D"])
def test_storage_itself_takes_no_evil_name(storage: Stored, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="is no id"):
        storage.create_disk(name, "a", 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_live_images_can_be_reached_by_their_owner_alone(image: Path) -> None:
    assert image.parent.stat().st_mode & 0o777 == 0o700
    assert image.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o1777])
def test_folder_that_others_can_enter_is_not_our_own(tmp_path: Path, mode: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(mode)
    with (
        pytest.raises(StorageError, match="not a folder of this user"),
        own.folder(tmp_path / "folder"),
    ):
        pass


@pytest.mark.root
@pytest.mark.parametrize(
    ("owner", "mode", "refused"),
    [
        *((0, 0o755, ""), (0, 0o1777, ""), (0, 0o777, "changed"), (0, 0o775, "changed")),
        (NOBODY, 0o700, str(NOBODY)),
    ],
)
@pytest.mark.parametrize("below", ["", "below"])
def test_way_that_others_can_exchange_is_refused(
    tmp_path: Path, owner: int, mode: int, refused: str, below: str
) -> None:
    place = tmp_path / "place"
    (place / below).mkdir(parents=True)
    os.chown(place, owner, owner)
    place.chmod(mode)
    if not refused:
        own.check_way(place / below)
        return
    with pytest.raises(StorageError, match=refused):
        own.check_way(place / below)


@pytest.mark.parametrize("symbolic", [True, False], ids=["link", "second name"])
def test_secrets_for_tests_are_noted_in_no_other_file(
    tmp_path: Path, victim: Path, symbolic: bool
) -> None:
    (tmp_path / "secrets").mkdir()
    noted = tmp_path / "secrets" / f"simulator-{os.getpid()}"
    if symbolic:
        noted.symlink_to(victim)
    else:
        noted.hardlink_to(victim)
    with pytest.raises(OSError, match=r"own|links"):
        Controls(SimulatorConfig(secrets_dir=str(tmp_path / "secrets")))
    assert victim.read_text() == OTHERS


@pytest.mark.root
def test_authority_is_not_kept_where_others_could_put_theirs(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    os.chown(tmp_path / "ca", NOBODY, NOBODY)
    with pytest.raises(StorageError, match=str(NOBODY)):
        kept_authority(tmp_path / "ca")
