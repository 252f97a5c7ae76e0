from pathlib import Path

import pytest

from starpost_dev.scaffold import Changes, ScaffoldError


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "there.py"
    path.write_bytes(b"old\r\n")
    return path


def contents(there: Path) -> dict[Path, str]:
    return {there: "new\n", there.parent / "a/b/c.py": "c\n", there.parent / "a/d.py": "d\n"}


def originals(there: Path) -> dict[Path, str | None]:
    return {path: "old\r\n" if path == there else None for path in contents(there)}


def test_kept(there: Path) -> None:
    with Changes(contents(there), originals(there)) as changes:
        changes.keep()
    assert {path: path.read_text() for path in contents(there)} == contents(there)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_taken_back_unless_the_end_is_reached(there: Path, error: type[BaseException] | None) -> None:
    def use() -> None:
        with Changes(contents(there), originals(there)):
            assert there.read_text() == "new\n"
            (there.parent / "a/b/__pycache__").mkdir()
            (there.parent / "a/b/__pycache__/c.cpython-311.pyc").touch()
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert there.read_bytes() == b"old\r\n"
    assert list(there.parent.iterdir()) == [there]


def test_what_has_changed_meanwhile_is_left_alone(there: Path) -> None:
    made = contents(there)
    there.write_text("somebody else's\n")
    with pytest.raises(ScaffoldError, match="changed meanwhile"), Changes(made, originals(there)):
        raise AssertionError
    assert there.read_text() == "somebody else's\n"
    assert list(there.parent.iterdir()) == [there]


def test_a_file_that_appeared_meanwhile_is_left_alone(there: Path) -> None:
    appeared = there.parent / "a/d.py"
    appeared.parent.mkdir()
    appeared.write_text("mine\n")
    with pytest.raises(ScaffoldError, match="changed meanwhile"), Changes(contents(there), originals(there)):
        raise AssertionError
    assert (appeared.read_text(), there.read_bytes()) == ("mine\n", b"old\r\n")


def test_a_write_that_fails_half_way_is_taken_back(there: Path) -> None:
    """A folder stands where a file should go."""
    made = contents(there) | {there / "below": "x\n"}
    with pytest.raises(OSError, match=r"there\.py"), Changes(made, originals(there) | {there / "below": None}):
        raise AssertionError
    assert there.read_bytes() == b"old\r\n"
    assert list(there.parent.iterdir()) == [there]
