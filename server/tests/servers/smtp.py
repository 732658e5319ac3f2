"""A real SMTP server in a thread: keeps what it is sent and refuses what it is told to."""

import asyncio
import email
import email.policy
import hashlib
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override


@dataclass(frozen=True, kw_only=True)
class ReceivedMail:
    """One message as it was delivered, with the addresses of its envelope."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    authenticated: bool

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The plain-text part, or an empty string."""
        part = self.message.get_body(("plain",))
        return "" if part is None else str(part.get_content())

    @property
    def html(self) -> str:
        """The HTML part, or an empty string."""
        part = self.message.get_body(("html",))
        return "" if part is None else str(part.get_content())


class SmtpServer:
    """An SMTP server on a loopback port; `messages` lists all that it accepted.

    With `username` it asks for a sign-in. `tls` makes it offer STARTTLS, or speak TLS from the
    first byte when `implicit_tls`. `refuse` gives the next messages a reply of your own.
    """

    def __init__(
        self,
        *,
        username: str | None,
        password: str,
        tls: ssl.SSLContext | None,
        implicit_tls: bool,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.messages: list[ReceivedMail] = []
        self.username = username
        self.password = password
        self._tls = tls
        self.implicit_tls = implicit_tls
        self._arrived = threading.Condition()
        self._replies: deque[str] = deque()
        self._refused_recipients: dict[str, str] = {}
        self._controller: _Controller | None = None

    @property
    def url(self) -> str:
        scheme = "smtps" if self.implicit_tls else "smtp"
        secret = "" if self.username is None else f"{self.username}:{self.password}@"
        return f"{scheme}://{secret}{self.host}:{self.port}"

    def refuse(self, *replies: str) -> None:
        """Answer the next messages with these replies, such as `451 4.3.2 try later`."""
        with self._arrived:
            self._replies.extend(replies)

    def refuse_recipient(self, address: str, reply: str) -> None:
        """Answer every `RCPT TO` of this address with the reply, such as `550 no such user`."""
        with self._arrived:
            self._refused_recipients[address] = reply

    def wait_for(
        self, count: int, *, timeout_seconds: float = PATIENCE_SECONDS
    ) -> list[ReceivedMail]:
        """Return all messages once there are at least `count`; raise `TimeoutError` otherwise."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.messages) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self.messages)} of {count} messages arrived")
            return list(self.messages)

    def clear(self) -> None:
        """Forget all messages and refusals."""
        with self._arrived:
            self.messages.clear()
            self._replies.clear()
            self._refused_recipients.clear()

    def start(self) -> None:
        assert self._controller is None, "the server runs already"
        self._controller = _Controller(self, self._tls, implicit_tls=self.implicit_tls)
        self._controller.start()
        self.port = self._controller.port

    def stop(self) -> None:
        """Refuse new connections; a later `start` takes the same port again."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def sign_in_is_right(self, login: object) -> bool:
        return isinstance(login, LoginPassword) and (login.login, login.password) == (
            (self.username or "").encode(),
            self.password.encode(),
        )

    def reply_to_recipient(self, address: str) -> str:
        with self._arrived:
            return self._refused_recipients.get(address, "250 OK")

    def reply_to_message(self, mail: ReceivedMail) -> str:
        with self._arrived:
            if self._replies:
                return self._replies.popleft()
            self.messages.append(mail)
            self._arrived.notify_all()
            return f"250 OK {hashlib.sha256(mail.message.as_bytes()).hexdigest()[:12]}"


class _Conversation:
    """The hooks that aiosmtpd calls."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    async def handle_MAIL(  # noqa: N802  the name aiosmtpd looks for
        self,
        _server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self._server.username is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  the name aiosmtpd looks for
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        reply = self._server.reply_to_recipient(address)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  the name aiosmtpd looks for
        content = envelope.content
        assert isinstance(content, bytes), "aiosmtpd was not asked to decode"
        message = email.message_from_bytes(content, policy=email.policy.default)
        return self._server.reply_to_message(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                message=message,
                encrypted=self._server.implicit_tls or session.ssl is not None,
                authenticated=bool(session.authenticated),
            )
        )


class _Controller(Controller):
    """aiosmtpd's thread, with our sign-in and either kind of TLS."""

    def __init__(
        self, server: SmtpServer, tls: ssl.SSLContext | None, *, implicit_tls: bool
    ) -> None:
        self._starttls = None if implicit_tls else tls
        self._owner = server
        self._conversations: list[SMTP] = []
        super().__init__(
            _Conversation(server),
            hostname=server.host,
            port=server.port,
            ssl_context=tls if implicit_tls else None,
        )

    @override
    def factory(self) -> SMTP:
        # Not auth_required=True: aiosmtpd warns when that goes without TLS, which we test too, and
        # a warning fails the suite. Our MAIL hook refuses instead.
        conversation = SMTP(
            self.handler,
            hostname="mail.test",
            tls_context=self._starttls,
            authenticator=self._authenticate,
            auth_require_tls=self._starttls is not None,
        )
        self._conversations.append(conversation)
        return conversation

    @override
    def stop(self, no_assert: bool = False) -> None:
        # aiosmtpd leaves open connections to the garbage collector, which warns about them.
        cut = threading.Event()
        self.loop.call_soon_threadsafe(self._cut, cut)
        cut.wait(PATIENCE_SECONDS)
        super().stop(no_assert)

    def _cut(self, done: threading.Event) -> None:
        for conversation in self._conversations:
            for transport in (conversation.transport, conversation._original_transport):
                if isinstance(transport, asyncio.WriteTransport):
                    transport.abort()
        # Aborting takes two turns of the loop, with TLS in between.
        self.loop.call_later(0.02, done.set)

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: object
    ) -> AuthResult:
        # handled=False makes aiosmtpd send its own 535 when the sign-in is wrong.
        return AuthResult(success=self._owner.sign_in_is_right(login), handled=False)

    @override
    def _trigger_server(self) -> None:
        # Port 0 means "any", and aiosmtpd would knock on port 0 to see whether it is there.
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # made just before; AbstractServer does not declare its sockets
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd has few annotations


@contextmanager
def running_smtp(
    *,
    username: str | None = None,
    password: str = "",
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
) -> Iterator[SmtpServer]:
    """Yield an SMTP server on a free loopback port."""
    server = SmtpServer(username=username, password=password, tls=tls, implicit_tls=implicit_tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with running_smtp() as server:
        yield server
