import sys

import pytest

from starpost.server.cores import CoresError, check_cores, core_of


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_refuse_cores_in_words(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    check_cores([])
    with pytest.raises(CoresError, match="needs Linux"):
        check_cores([0])


def test_the_list_starts_again_when_there_are_more_workers() -> None:
    assert [core_of(worker, [6, 0]) for worker in range(5)] == [6, 0, 6, 0, 6]
    assert core_of(3, []) is None
