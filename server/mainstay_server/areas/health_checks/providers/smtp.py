"""The mail server check: greeting, EHLO, TLS, and signing in where asked."""

import base64
import ssl
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.mail import MailConfig
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Port,
    ProbeOrder,
    ProbeResult,
)
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.outbound import OutboundError, Wire, read_reply

LABEL = "Mail server (SMTP)"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BANNER", "BODY", "CERTIFICATE_EXPIRATION"})
EXAMPLE: Mapping[str, Any] = {
    "host": "mail.example.com",
    "port": 587,
    "tls": "starttls",
    "username": "watcher@example.com",
    "password": "…",
}
READY = 220
DONE = 250
SIGNED_IN = 235
BUSY = 421
GO_ON = 334


class Refused(Exception):
    """The server answered, but not as it should; `soft` when it may only be busy."""

    def __init__(self, reason: str, *, soft: bool = False) -> None:
        super().__init__(reason)
        self.soft = soft


class Config(MailConfig):
    """Where it is. `tls` is spoken from the first byte (`implicit`) or asked for (`starttls`).

    Signing in needs TLS: a password is not sent for everybody to read.
    """

    port: Port = 25
    tls: Literal["off", "starttls", "implicit"] = "off"
    ehlo: Annotated[str, Field(pattern=r"^[A-Za-z0-9.\[\]:-]+$", max_length=253)] = (
        "mainstay.invalid"
    )


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Greet, begin TLS, sign in; `[BODY]` is what EHLO offers."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    refused: Refused | None = None
    values: dict[str, object] = {}
    facts: dict[str, Fact] = {}
    try:
        async with outbound.dial(
            config.host,
            config.port,
            timeout_seconds=order.timeout_seconds,
            tls=_context(config) if config.tls == "implicit" else None,
        ) as wire:
            values["IP"] = wire.address
            try:
                await _talk(wire, config, values)
            except Refused as reason:
                refused = reason
            if wire.tls is not None:
                facts |= certificates.ends_at(wire.tls.getpeercert(binary_form=True))
            result = order.answered(wire.timings(), values=values, facts=facts)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    if refused is None:
        return result
    state = HealthState.DEGRADED if refused.soft else HealthState.UNHEALTHY
    return result.worsened(state, str(refused))


def _context(config: Config) -> ssl.SSLContext:
    return outbound.tls_context(verify=config.verify_tls)


async def _talk(wire: Wire, config: Config, values: dict[str, object]) -> None:
    values["BANNER"] = " ".join(await _expect(wire, READY, "greets with"))
    offers = await _say(wire, f"EHLO {config.ehlo}", DONE, "answers EHLO with")
    if config.tls == "starttls":
        if not any(line.upper().startswith("STARTTLS") for line in offers):
            raise Refused("does not offer STARTTLS")
        await _say(wire, "STARTTLS", READY, "answers STARTTLS with")
        await wire.secure(_context(config), server_name=config.host)
        offers = await _say(wire, f"EHLO {config.ehlo}", DONE, "answers EHLO with")
    values["BODY"] = offers
    if config.password is not None:
        await _sign_in(wire, config.username, config.password.get_secret_value(), offers)
    await wire.send(b"QUIT\r\n")


async def _sign_in(wire: Wire, username: str, password: str, offers: list[str]) -> None:
    """AUTH PLAIN (RFC 4616), or the older LOGIN where only that is offered."""
    ways = " ".join(line for line in offers if line.upper().startswith("AUTH")).upper().split()
    if "PLAIN" in ways or "LOGIN" not in ways:
        secret = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
        await _say(wire, f"AUTH PLAIN {secret}", SIGNED_IN, "answers the sign-in with")
        return
    await _say(wire, "AUTH LOGIN", GO_ON, "answers the sign-in with")
    for text, code in ((username, GO_ON), (password, SIGNED_IN)):
        said = base64.b64encode(text.encode()).decode()
        await _say(wire, said, code, "answers the sign-in with")


async def _say(wire: Wire, line: str, wanted: int, about: str) -> list[str]:
    await wire.send(line.encode() + b"\r\n")
    return await _expect(wire, wanted, about)


async def _expect(wire: Wire, wanted: int, about: str) -> list[str]:
    code, lines = await read_reply(wire)
    if code != wanted:
        raise Refused(f"{about} {code} {lines[0][:150]}", soft=code == BUSY)
    return lines
