"""`kill -9` at any moment: what was acknowledged is there, what is due is told under one key."""

import sys
from pathlib import Path

import pytest
from tests.journeys.crashing import endure, faults_of

pytestmark = pytest.mark.slow

KILLS = 4


def test_kills_lose_nothing_acknowledged_and_tell_nothing_under_two_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = endure(tmp_path, kills=KILLS, seed=20261121)
    with capsys.disabled():
        sys.stdout.write(f"\n  {found}\n")

    assert faults_of(found) == []
    assert len(found.acknowledged) > 500, "too few to prove anything"
    assert len(found.issues) == 20
    assert {told.change for told in found.due} == {"alert.opened", "alert.resolved"}
