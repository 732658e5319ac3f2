"""What is old goes, with its files, and nothing that was just stored."""

from datetime import timedelta
from typing import Any

import obstore
import pytest
from mainstay_server.areas.results import jobs
from mainstay_server.areas.results.service import forgetting
from mainstay_server.kernel import blobs
from mainstay_server.kernel.clock import utc_now
from tests.areas.results.worlds import junit, uploaded
from tests.world import World

DAY = timedelta(days=1)


def forget(later: timedelta) -> object:
    return jobs.forget_old_results.function(now=utc_now() + later)


def test_results_go_when_they_are_old_and_their_files_with_them(world: World) -> None:
    uploaded(world, junit(a="passed"))
    assert forget(179 * DAY) == 0
    assert len(blobs.list_keys("results")) == 2
    assert forget(181 * DAY) == 1
    assert blobs.list_keys("results") == []


def test_files_of_the_same_upload_sent_twice_and_of_a_removed_one_go(world: World) -> None:
    made = uploaded(world, junit(a="passed"))
    uploaded(world, junit(a="passed"))
    assert len(blobs.list_keys("results")) == 4
    forget(timedelta())
    assert len(blobs.list_keys("results")) == 4, "one may be on its way"
    forget(DAY)
    keys = blobs.list_keys("results")
    assert len(keys) == 2
    assert all(made["id"] in key for key in keys)


def test_all_files_are_looked_through_in_one_walk_however_many_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        uploaded(world, junit(a="passed"))
    monkeypatch.setattr(forgetting, "AT_ONCE", 1)
    walks: list[str] = []
    listed = obstore.list

    def counted(*args: Any, **options: Any) -> Any:
        walks.append("a walk")
        return listed(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "list", counted)
        forget(181 * DAY)
    assert len(walks) == 1
    assert blobs.list_keys("results") == []
