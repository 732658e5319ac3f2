"""Leaving: checkpoints reach blob store, folder and webhook, and contradict nothing there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.areas.audit.models import AuditDestination
from mainstay_server.areas.audit.service import leaving
from mainstay_server.areas.audit.settings import AuditSettings
from mainstay_server.kernel import blobs, outbound
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import dead_letters
from mainstay_server.kernel.settings import UnsafeSetting, forget_settings, load_settings
from tests.areas.audit.worlds import HOUR, NOON, SHIPS, a_signed_log, as_owner, kept, rename, sign
from tests.servers.http import Answer, HttpReceiver


@pytest.fixture
def reachable() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def destinations() -> dict[str, tuple[int, str]]:
    with reading() as session:
        rows = session.query(AuditDestination).all()
        return {row.name: (row.size, row.error) for row in rows}


def test_each_checkpoint_lies_in_the_blob_store_under_its_size(log: None) -> None:
    a_signed_log(3, 12)

    keys = blobs.list_keys(f"audit/{SHIPS}")

    assert [blobs.get(key).decode() for key in keys] == list(kept().values())
    assert keys[0] == f"audit/{SHIPS}/checkpoints/{3:020d}.txt"
    assert destinations() == {"blobs": (12, "")}


def test_a_folder_gets_each_checkpoint_as_a_whole_file(
    log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_FOLDER", str(tmp_path / "mount"))
    forget_settings()
    a_signed_log(3, 12)

    files = sorted((tmp_path / "mount" / SHIPS).iterdir())

    assert [file.read_text() for file in files] == list(kept().values())
    assert destinations()["folder"] == (12, "")


def test_a_webhook_gets_each_checkpoint_as_a_cloud_event_and_is_asked_again_when_it_is_away(
    log: None, http_receiver: HttpReceiver, reachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_WEBHOOK_URL", f"{http_receiver.url}/notary")
    forget_settings()
    http_receiver.answer(Answer(status=503), Answer(status=204))
    a_signed_log(3)
    assert destinations()["webhook"] == (0, "The webhook answered 503.")

    sign(now=NOON + HOUR)

    first, second = http_receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert second.headers["content-type"] == "application/cloudevents+json"
    event = json.loads(second.body)
    assert (event["specversion"], event["type"]) == ("1.0", "mainstay.audit.checkpoint")
    assert event["data"]["checkpoint"] == kept()["kept-3.txt"]
    assert destinations()["webhook"] == (3, "")


def test_a_checkpoint_that_contradicts_one_that_left_before_is_refused_and_seen(log: None) -> None:
    a_signed_log(3)
    as_owner(
        "DELETE FROM audit_rows",
        "DELETE FROM audit_checkpoints",
        "DELETE FROM audit_logs",
        "UPDATE outbox_deliveries SET status = 'done'",
    )
    rename(3, now=NOON + HOUR)
    sign(now=NOON + HOUR)

    assert destinations()["blobs"] == (3, leaving.ANOTHER)
    with reading() as session:
        (letter,) = dead_letters(session)
    assert letter.last_error == leaving.ANOTHER


def test_a_webhook_that_is_no_url_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_WEBHOOK_URL", "notary.example")
    with pytest.raises(UnsafeSetting, match="name a host"):
        load_settings([AuditSettings])
    forget_settings()
