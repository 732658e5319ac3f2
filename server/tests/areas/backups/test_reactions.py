"""After each success somebody outside is told, so that silence means that this server is dead."""

from datetime import timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.backups import area
from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.service import due, runs
from mainstay_server.areas.backups.service.working import make_due
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import install_reactions, run_waiting
from tests.servers.http import Answer, HttpReceiver, http_receiver

from .standing import HOUR, NOON, a_target, an_instance, way_out

__all__ = ["http_receiver", "way_out"]

pytestmark = pytest.mark.usefixtures("way_out", "database", "shared_memory")


@pytest.fixture(autouse=True)
def _reactions() -> None:
    install_reactions(area.reactions)


def back_up(tmp_path: Path, url: str) -> str:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path, heartbeat_url=url)
        due.queue_due(session, now=NOON)
    make_due(clock=lambda: NOON)
    return target.id


def test_a_success_is_told_once(tmp_path: Path, http_receiver: HttpReceiver) -> None:
    back_up(tmp_path, f"{http_receiver.url}/ping/documents")
    run_waiting(now=NOON)
    run_waiting(now=NOON + HOUR)

    assert [(each.method, each.path) for each in http_receiver.requests] == [
        ("GET", "/ping/documents")
    ]


def test_one_who_does_not_listen_is_told_again_and_that_is_shown(
    tmp_path: Path, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer(Answer(status=503))
    target_id = back_up(tmp_path, f"{http_receiver.url}/ping/documents")
    run_waiting(now=NOON)
    with reading() as session:
        assert "503" in session.get_one(BackupTarget, target_id).heartbeat_problem

    run_waiting(now=NOON + timedelta(minutes=1))
    with reading() as session:
        assert session.get_one(BackupTarget, target_id).heartbeat_problem == ""
    assert len(http_receiver.requests) == 2


def test_a_success_of_long_ago_is_not_told_as_if_it_were_new(
    tmp_path: Path, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer(Answer(status=503))
    target_id = back_up(tmp_path, f"{http_receiver.url}/ping/documents")
    run_waiting(now=NOON)
    with transaction() as session:
        runs.ask(session, session.get_one(BackupTarget, target_id), now=NOON)
    make_due(clock=lambda: NOON + HOUR)
    with reading() as session:
        assert len(runs.history(session, target_id=target_id, limit=9).items) == 2

    run_waiting(now=NOON + HOUR)

    assert len(http_receiver.requests) == 2, "only the newer one's"
