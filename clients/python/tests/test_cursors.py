"""CursorFile and CursorInMemory return the resume point that was saved last; a damaged cursor file raises
CursorUnreadable and is not changed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_client import CursorFile, CursorInMemory, CursorUnreadable, ResumePoint

POINT = ResumePoint("1.e.ab.inbox:5", {"inbox": 7, "news": 1})


@pytest.fixture
def file(tmp_path: Path) -> CursorFile:
    return CursorFile(tmp_path / "shop.cursor")


def test_what_was_kept_is_there_again(file: CursorFile) -> None:
    assert file.load() is None
    file.save(ResumePoint("first", {}))
    file.save(POINT)
    assert CursorFile(str(file.path)).load() == POINT
    assert os.listdir(file.path.parent) == ["shop.cursor"]


def test_in_memory_it_is_the_same() -> None:
    store = CursorInMemory()
    assert store.load() is None
    store.save(POINT)
    assert store.load() == POINT


@given(st.text(), st.dictionaries(st.text(), st.integers(0, 10**15)))
def test_any_place_survives_being_a_file(
    tmp_path_factory: pytest.TempPathFactory, cursor: str, at: dict[str, int]
) -> None:
    file = CursorFile(tmp_path_factory.getbasetemp() / "any.cursor")
    file.save(ResumePoint(cursor, at))
    assert file.load() == ResumePoint(cursor, at)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 64, b"{", b"[]", b"{}", b'{"cursor":5}', b'{"cursor":"c","positions":{"inbox":-1}}', b"\xff\xfe"],
)
def test_what_is_no_cursor_file_is_said_by_its_name_and_left_alone(file: CursorFile, content: bytes) -> None:
    file.path.write_bytes(content)
    with pytest.raises(CursorUnreadable, match=r"shop\.cursor"):
        file.load()
    assert file.path.read_bytes() == content


def test_a_folder_is_no_cursor_file(tmp_path: Path) -> None:
    with pytest.raises(CursorUnreadable, match=str(tmp_path)):
        CursorFile(tmp_path).load()


def test_what_a_crash_left_half_written_is_not_read(file: CursorFile) -> None:
    file.save(POINT)
    Path(f"{file.path}.new").write_bytes(b'{"cur')
    assert file.load() == POINT
    file.save(ResumePoint("next", {}))
    assert file.load() == ResumePoint("next", {})


def test_a_link_stays_one(file: CursorFile, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file.path)
    CursorFile(link).save(POINT)
    assert link.is_symlink()
    assert file.load() == POINT


def test_what_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        CursorFile(tmp_path / "nowhere" / "a.cursor").save(POINT)
