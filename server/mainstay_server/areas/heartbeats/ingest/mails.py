"""The way in for mails: a small SMTP server that takes nothing but reports.

It relays nothing, signs nobody in and bounces nothing: a mail is for a heartbeat, or it is refused
while its sender is still there.
"""

import asyncio
import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.concurrency import run_in_threadpool
from typing_extensions import override

from mainstay_server.areas.heartbeats.models import Signal
from mainstay_server.areas.heartbeats.schemas.reports import (
    BODY_BYTES,
    LONGEST_CLIENT,
    Outcome,
    Report,
    Target,
)
from mainstay_server.areas.heartbeats.service.intake import intake
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem, TooManyRequests, Unavailable
from mainstay_server.kernel.settings import of

from .pings import KEY_FORM, SLUG_FORM, UUID_FORM

LARGEST_MAIL_BYTES = 1 << 20
MOST_RECIPIENTS = 20
MOST_COMMANDS = 100
QUIET_SECONDS = 60.0
LONGEST_SUBJECT = 1_000
NO_HEARTBEAT = "550 5.1.1 There is no such heartbeat here"
TRY_LATER = "451 4.3.0 The report could not be stored for now; send it again later"
TAKEN = "250 2.0.0 OK, stored"


@dataclass
class _Room:
    """How many connections bring mails now."""

    most: int
    taken: int = 0


class Door(SMTP):
    """One connection; beyond the limit it is told to come back and closed."""

    def __init__(self, room: _Room) -> None:
        super().__init__(
            Reports(),
            data_size_limit=LARGEST_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="mainstay",
            ident="Mainstay",
            timeout=QUIET_SECONDS,
            command_call_limit=MOST_COMMANDS,
            loop=asyncio.get_running_loop(),
        )
        self._room = room
        self._entered = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._room.taken >= self._room.most:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"421 4.3.2 Too many connections; come back in a moment\r\n")
            transport.close()
            return
        self._room.taken += 1
        self._entered = True
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self._entered:
            self._room.taken -= 1
            self._entered = False
            super().connection_lost(error)


class Reports:
    """What is done with a mail: each of its recipients is a heartbeat that gets it as a report."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take recipients that can be heartbeats, up to twenty."""
        if target_of(address) is None:
            return NO_HEARTBEAT
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients; send the rest in another mail"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it so
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail; OK means that it is stored for every recipient that there is."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        subject, text = await run_in_threadpool(read_mail, raw)
        peer = (session.peer or ("",))[0]
        waiting = []
        try:
            for address in envelope.rcpt_tos:
                target = target_of(address)
                assert target is not None, "it was taken as a recipient"
                report = Report(
                    target=target,
                    signal=Signal.SUCCESS,
                    at=utc_now(),
                    scheme="email",
                    address=str(peer)[:64],
                    client=(envelope.mail_from or "")[:LONGEST_CLIENT],
                    subject=subject,
                    body=text,
                )
                waiting.append(intake().record(report))
            results = await asyncio.gather(*waiting)
        except (TooManyRequests, Unavailable):
            return TRY_LATER
        except Problem as problem:
            return f"554 5.6.0 {problem.detail}"
        found = any(result.outcome == Outcome.TAKEN for result in results)
        return TAKEN if found else NO_HEARTBEAT


def target_of(address: str) -> Target | None:
    """The heartbeat of a mail address: `<uuid>@…` or `<ping key>+<slug>@…`; None for others."""
    local = address.rpartition("@")[0]
    if UUID_FORM.fullmatch(local.lower()):
        return Target(ping_id=local.lower())
    key, _, slug = local.partition("+")
    if KEY_FORM.fullmatch(key) and SLUG_FORM.fullmatch(slug):
        return Target(ping_key=key, slug=slug)
    return None


def read_mail(raw: bytes) -> tuple[str, bytes]:
    """The subject of a mail and the beginning of its text, whatever it claims to be encoded in."""
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        subject = str(message.get("subject", ""))
        part = message.get_body(("plain", "html"))
        text = "" if part is None else str(part.get_content())
    except (LookupError, ValueError, RecursionError):  # an encoding that nobody knows, or a maze
        return "", raw[:BODY_BYTES]
    lines = text.replace("\r\n", "\n")
    return subject[:LONGEST_SUBJECT], lines.encode("utf-8", "replace")[:BODY_BYTES]


async def _take_mails(stop: StopSignal) -> None:
    options = of(HeartbeatSettings)
    if not options.heartbeats_mail_port:
        await stop.wait()
        return
    room = _Room(options.heartbeats_mail_connections)
    server = await asyncio.get_running_loop().create_server(
        lambda: Door(room), options.heartbeats_mail_host, options.heartbeats_mail_port
    )
    try:
        await stop.wait()
    finally:
        server.close()


mails = Loop(name="heartbeats.mails", role="web", run=_take_mails)
