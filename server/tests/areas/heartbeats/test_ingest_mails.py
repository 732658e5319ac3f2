"""Reports by mail, brought by a real client over a real socket."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from mainstay_server.areas.heartbeats.ingest import mails
from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing
from mainstay_server.areas.heartbeats.service.intake import close_intake
from mainstay_server.areas.heartbeats.service.making import ensure_ping_key, make_heartbeat
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import load_settings
from sqlalchemy import select
from sqlalchemy.orm import undefer
from tests.areas.heartbeats.worlds import an_instance
from tests.servers.processes import free_port
from tests.waiting import PATIENCE_SECONDS

NOW = utc_now()


@pytest.fixture
def door(database: None, shared_memory: None) -> Iterator[int]:
    """The door, open on a port of its own with room for three connections."""
    port = free_port()
    load_settings([HeartbeatSettings], heartbeats_mail_port=port, heartbeats_mail_connections=3)
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def run() -> None:
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))
        ready.set()
        await mails.mails.run(stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(PATIENCE_SECONDS)
    for _ in range(200):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                break
        threading.Event().wait(0.05)
    yield port
    ((loop, stop),) = stopping
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    close_intake()


def a_beat(**values: object) -> tuple[Heartbeat, str]:
    with transaction() as session:
        instance = an_instance(session)
        made = make_heartbeat(session, instance, {"name": "Backup"} | values, now=NOW)
        return made, ensure_ping_key(session, instance, now=NOW)


def send(port: int, *recipients: str, subject: str = "Backup done", text: str = "3 GB") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "cron@shop.example", recipients[0], subject
    mail.set_content(text)
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_SECONDS) as client:
        client.send_message(mail, to_addrs=list(recipients))


def kept() -> list[tuple[str, str, bytes | None]]:
    with reading() as session:
        rows = session.scalars(
            select(HeartbeatPing).order_by(HeartbeatPing.number).options(undefer("*"))
        )
        return [(row.signal, row.scheme, row.body) for row in rows]


def test_a_mail_to_its_address_is_a_report(door: int) -> None:
    beat, key = a_beat()

    send(door, f"{beat.ping_id}@hooks.example")
    send(door, f"{key}+backup@hooks.example", text="again")

    assert kept() == [("success", "email", b"3 GB\n"), ("success", "email", b"again\n")]


def test_words_in_subject_and_text_decide(door: int) -> None:
    beat, _ = a_beat(
        filter_subject=True,
        filter_body=True,
        failure_words="error, FAILED",
        success_words="done",
        start_words="begins",
    )
    to = f"{beat.ping_id}@hooks.example"
    send(door, to, subject="Backup DONE")
    send(door, to, subject="Backup", text="Error: no space")
    send(door, to, subject="Backup begins")
    send(door, to, subject="Buy now")

    assert [signal for signal, _, _ in kept()] == ["success", "fail", "start", "ign"]


def test_who_is_no_heartbeat_is_refused_while_the_sender_is_there(door: int) -> None:
    a_beat()
    for address in (
        "postmaster@hooks.example",
        "00000000-0000-4000-8000-000000000000@hooks.example",
        "unknownkeyunknownkey12+backup@hooks.example",
    ):
        with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)) as refused:
            send(door, address)
        assert "550" in str(refused.value)
    assert kept() == []


def test_a_mail_that_is_too_large_is_refused(door: int) -> None:
    beat, _ = a_beat()

    with pytest.raises(smtplib.SMTPException):
        send(door, f"{beat.ping_id}@hooks.example", text="x" * (mails.LARGEST_MAIL_BYTES + 1))

    assert kept() == []


def test_only_the_beginning_of_a_text_is_kept(door: int) -> None:
    beat, _ = a_beat()

    send(door, f"{beat.ping_id}@hooks.example", text="x" * 50 + "\n" + "y" * 900 * 60)

    assert len(kept()[0][2] or b"") == 10_000


def test_more_connections_than_there_is_room_for_are_told_to_come_back(door: int) -> None:
    held: list[socket.socket] = []
    try:
        for _ in range(100):  # whoever came before may still be leaving
            each = socket.create_connection(("127.0.0.1", door), PATIENCE_SECONDS)
            held.append(each)
            if not each.recv(100).startswith(b"220 "):
                held.pop().close()
            if len(held) == 3:
                break
        assert len(held) == 3
        with socket.create_connection(("127.0.0.1", door), PATIENCE_SECONDS) as one_more:
            assert one_more.recv(100).startswith(b"421 ")
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: =?nonsense?q?x?=\nContent-Type: text/plain; charset=nobody\n\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n--x--",
        b"\x00" * 100,
    ],
)
def test_a_broken_mail_is_still_a_report(raw: bytes) -> None:
    subject, text = mails.read_mail(raw)

    assert isinstance(subject, str)
    assert len(text) <= 10_000
