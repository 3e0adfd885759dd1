"""A path leads to a file, or to a reason not to read it; the machine's faults are raised."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribblegen.builders.config import FolderConfig, PascalScribbleConfig
from scribblegen.builders.files import content_key
from scribblegen.builders.sources import open_source
from scribblegen.picture_cells import cell_file
from scribblegen.records import Sample
from scribblegen.regular_files import UnreadableFileError, file_size, read_file
from tests.test_folder_source import make, reason_of
from tests.test_pascal_scribble import TEXT, add_photograph, write

ROOT_READS_ALL = os.geteuid() == 0


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """What is to be told of a path -> a path of that kind."""
    folder = tmp_path / "odd"
    (folder / "folder.png").mkdir(parents=True)
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "file").write_bytes(b"x")
    with (folder / "sparse.png").open("wb") as sparse:
        sparse.truncate(10 * 2**30)
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(folder)  # the path of a socket is short
    server.bind("socket.png")
    yield {
        "a folder; a file is needed": folder / "folder.png",
        "a FIFO; a file is needed": folder / "fifo.png",
        "a socket; a file is needed": folder / "socket.png",
        "a device; a file is needed": folder / "zero.png",
        "a link that leads to itself": folder / "loop.png",
        "10.0 GB large; at most 1.0 GB is read": folder / "sparse.png",
        "a name that is too long": folder / ("n" * 300),
        "a name with a NUL in it": folder / "a\0b.png",
        "a path through what is no folder": folder / "file" / "a.png",
    }
    server.close()


def test_what_is_no_file_is_named_and_never_opened(odd: dict[str, Path]) -> None:
    for what, path in odd.items():
        for function in (read_file, file_size):
            with pytest.raises(UnreadableFileError) as caught:
                function(path)
            assert caught.value.what == what
            told = str(caught.value)
            assert told.endswith(f" is {what}") or len(told) > 200
            assert str(path.parents[1]) not in told and "\0" not in told
        for whole in (True, False):
            assert content_key(path, whole=whole) == f"({what})"


def test_a_file_is_read_and_so_is_one_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in "ab":
        assert read_file(tmp_path / name) == b"data" and file_size(tmp_path / name) == 4
    with pytest.raises(UnreadableFileError, match="0.0 GB large"):
        read_file(tmp_path / "a", max_bytes=3)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "c")
    (tmp_path / "d").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "d")


@pytest.mark.skipif(ROOT_READS_ALL, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "a").chmod(0)
    with pytest.raises(UnreadableFileError, match="a is not to be read: permission denied"):
        read_file(tmp_path / "a")


def test_permission_denied_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"data")
    fail_with(monkeypatch, errno.EACCES)
    with pytest.raises(UnreadableFileError, match="a is not to be read: permission denied"):
        read_file(tmp_path / "a")


def fail_with(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "EIO", "ENOMEM", "ESTALE", "EINTR"])
def test_a_fault_of_the_machine_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = open_source(FolderConfig(data_dir=str(make(tmp_path))))
    assert source is not None
    fail_with(monkeypatch, getattr(errno, name))
    for call in (lambda: source.read(0), source.fingerprint):
        with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
            call()
    cell = {"bytes": None, "path": str(tmp_path / "images" / "a.jpg")}
    with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
        cell_file(cell, (tmp_path.resolve(),))


@pytest.mark.parametrize("folder", ["images", "scribbles", "masks"])
def test_an_odd_file_is_one_rejection_of_a_folder(
    tmp_path: Path, odd: dict[str, Path], folder: str
) -> None:
    source = open_source(FolderConfig(data_dir=str(make(tmp_path / "data"))))
    assert source is not None
    file = tmp_path / "data" / folder / ("b.jpg" if folder == "images" else "b.png")
    for what, path in odd.items():
        if "\0" not in str(path) and os.path.lexists(path):
            file.unlink()
            file.symlink_to(path)
            assert reason_of(source, 1) == f"{folder}/{file.name} is {what}"
            source.fingerprint()
            assert isinstance(source.read(0), Sample) and isinstance(source.read(2), Sample)


def test_an_odd_file_of_strokes_is_one_rejection(tmp_path: Path, odd: dict[str, Path]) -> None:
    add_photograph(tmp_path / "data", "a", "b")
    for name in "ab":
        write(tmp_path / "data" / "ScribbleSup" / f"{name}.txt", TEXT)
    source = open_source(PascalScribbleConfig(data_dir=str(tmp_path / "data")))
    assert source is not None
    file = tmp_path / "data" / "ScribbleSup" / "a.txt"
    file.unlink()
    os.mkfifo(file)
    assert reason_of(source, 0) == "ScribbleSup/a.txt is a FIFO; a file is needed"
    assert isinstance(source.read(1), Sample)


def test_a_cell_s_file_that_is_too_large_is_told_without_its_path(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as sparse:
        sparse.truncate(10 * 2**30)
    cell: dict[str, Any] = {"bytes": None, "path": str(tmp_path / "a.png")}
    with pytest.raises(ValueError, match=r"^a file of the data set that is 10\.0 GB large; at mo"):
        cell_file(cell, (tmp_path.resolve(),))
