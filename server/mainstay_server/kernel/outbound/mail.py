"""Hand one message to a mail server, over the checked network."""

import asyncio
import socket
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Required, TypedDict

import aiosmtplib
from typing_extensions import Unpack

from mainstay_server.kernel.outbound.errors import MailRefused, OutboundError
from mainstay_server.kernel.outbound.gate import Gate, gate
from mainstay_server.kernel.outbound.network import connect

FIRST_PERMANENT_REPLY = 500


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where mail is handed in.

    `tls` speaks TLS from the first byte (port 465). Otherwise `starttls` true insists on STARTTLS,
    None takes it when it is offered, false never does; a password is sent in the clear only when
    it is false, for then somebody has said so. `trusted` says that the operator's settings name the
    server and no tenant does: a relay on a private address is then the usual case, not an attack.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    starttls: bool | None = None
    tls: bool = False
    verify_tls: bool = True
    timeout_seconds: float = 30.0
    trusted: bool = False


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What the server said when it took the message, and whom it refused with which reply."""

    reply: str
    refused: dict[str, str]


class MailOptions(TypedDict, total=False):
    """The fields of `MailServer`, as keywords."""

    host: Required[str]
    port: Required[int]
    username: str | None
    password: str | None
    starttls: bool | None
    tls: bool
    verify_tls: bool
    timeout_seconds: float
    trusted: bool


async def send_mail(message: EmailMessage, **options: Unpack[MailOptions]) -> Delivered:
    """Hand the message to the server; return once it has taken responsibility for it.

    Taken for at least one recipient is taken: those it was refused for are in `refused`. Sender
    and recipients are the message's own headers; Bcc is not sent along. `MailServer` explains the
    keywords. Raises `MailRefused`, permanent or not; no answer in `timeout_seconds` is not
    permanent, and the message may then have been taken all the same.
    """
    way = gate()
    server = MailServer(**options)
    try:
        async with (
            way.slots.one_for(server.host, wait_seconds=server.timeout_seconds),
            asyncio.timeout(server.timeout_seconds),
        ):
            return await _send(way, message, server)
    except OutboundError as error:
        raise MailRefused(error.reason, permanent=error.kind == "blocked") from None
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _all_refused(error) from None
    except aiosmtplib.SMTPResponseException as error:
        raise MailRefused(
            f"{server.host} answered {error.code} {error.message}",
            permanent=error.code >= FIRST_PERMANENT_REPLY,
        ) from None
    except TimeoutError:
        raise MailRefused(
            f"{server.host} did not take the message within {server.timeout_seconds:g} s.",
            permanent=False,
        ) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailRefused(f"{server.host}: {error}", permanent=False) from None


def send_mail_blocking(message: EmailMessage, **options: Unpack[MailOptions]) -> Delivered:
    """Do what `send_mail` does, from a thread that may wait; never call it on an event loop."""
    return gate().run(send_mail(message, **options))


async def _send(way: Gate, message: EmailMessage, server: MailServer) -> Delivered:
    connection = await connect(
        server.host,
        server.port,
        resolver=way.resolver,
        allow_private=way.allow_private or server.trusted,
        timeout_seconds=None,
    )
    client = aiosmtplib.SMTP(
        hostname=server.host,
        sock=connection,
        use_tls=server.tls,
        start_tls=False,
        tls_context=way.tls(verify=server.verify_tls),
        timeout=server.timeout_seconds,
        local_hostname=socket.gethostname(),  # the default asks the name service, for seconds
    )
    transport: asyncio.BaseTransport | None = None
    try:
        await client.connect()
        encrypted = server.tls or await _secured(client, server)
        await _sign_in(client, server, encrypted=encrypted)
        refused, reply = await client.send_message(message)
        transport = client.transport
        await _leave(client)
    finally:
        _cut(transport or client.transport)
        client.close()
        connection.close()
    return Delivered(
        reply=reply,
        refused={address: f"{no.code} {no.message}" for address, no in refused.items()},
    )


async def _secured(client: aiosmtplib.SMTP, server: MailServer) -> bool:
    if server.starttls is False:
        return False
    await client.ehlo()
    if not client.supports_extension("starttls"):
        if server.starttls:
            raise MailRefused(
                f"{server.host} does not offer STARTTLS; use another port or allow plain text.",
                permanent=True,
            )
        return False
    await client.starttls()
    return True


async def _sign_in(client: aiosmtplib.SMTP, server: MailServer, *, encrypted: bool) -> None:
    if server.username is None:
        return
    if not encrypted and server.starttls is not False:
        raise MailRefused(
            f"{server.host} offers no encryption, so the password was not sent; "
            "use TLS, or turn STARTTLS off to allow it in the clear.",
            permanent=True,
        )
    await client.login(server.username, server.password or "")


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye; the message is theirs already, so what goes wrong here is of no account."""
    try:
        await client.quit()
    except aiosmtplib.SMTPException:
        client.close()


def _cut(transport: asyncio.BaseTransport | None) -> None:
    """Let go of the connection now: waiting for a TLS goodbye would outlive the call."""
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _all_refused(error: aiosmtplib.SMTPRecipientsRefused) -> MailRefused:
    replies = "; ".join(f"{no.recipient}: {no.code} {no.message}" for no in error.recipients)
    return MailRefused(
        f"No recipient was accepted ({replies})",
        permanent=all(no.code >= FIRST_PERMANENT_REPLY for no in error.recipients),
        at_recipient=True,
    )
