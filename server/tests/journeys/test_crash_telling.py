"""`kill -9` at any moment while receivers are in trouble: each is told all, in order, once."""

import sys
from pathlib import Path

import pytest
from tests.journeys.troubled import faults_of, tell_through_kills

pytestmark = pytest.mark.slow

KILLS = 20


def test_kills_lose_and_double_no_notification_for_receivers_in_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = tell_through_kills(tmp_path, kills=KILLS, seed=20261126)
    with capsys.disabled():
        for name, one in heard.items():
            tries = len(one.tries)
            sys.stdout.write(f"\n  who {name}: {len(one.due)} due, {tries} tries\n")

    assert faults_of(heard) == []
    for name, one in heard.items():
        assert len(one.due) > 30, f"{name}: too few to prove anything"
        assert any(not each.taken for each in one.tries), f"{name} was in no trouble"
        assert {told.change for told in one.due} == {"alert.opened", "alert.resolved"}
