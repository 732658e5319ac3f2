"""The mailbox check: greeting, TLS, and signing in where asked."""

import ssl
import time
from collections.abc import Mapping
from typing import Any, Literal

from mainstay_server.areas.health_checks.schemas.mail import MailConfig
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Port,
    ProbeOrder,
    ProbeResult,
)
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.outbound import OutboundError, Wire

LABEL = "Mailbox server (IMAP)"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BANNER", "BODY", "CERTIFICATE_EXPIRATION"})
EXAMPLE: Mapping[str, Any] = {"host": "mail.example.com", "port": 993, "tls": "implicit"}
MOST_LINES = 100


class Refused(Exception):
    """The server answered, but not as it should."""


class Config(MailConfig):
    """Where it is. `tls` is spoken from the first byte (`implicit`) or asked for (`starttls`).

    Signing in needs TLS: a password is not sent for everybody to read.
    """

    port: Port = 993
    tls: Literal["off", "starttls", "implicit"] = "implicit"


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Greet, begin TLS, sign in; `[BODY]` is what the server can do."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    refused = ""
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
                refused = str(reason)
            if wire.tls is not None:
                facts |= certificates.ends_at(wire.tls.getpeercert(binary_form=True))
            result = order.answered(wire.timings(), values=values, facts=facts)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return result.with_fault(refused)


def _context(config: Config) -> ssl.SSLContext:
    return outbound.tls_context(verify=config.verify_tls)


async def _talk(wire: Wire, config: Config, values: dict[str, object]) -> None:
    greeting = (await wire.read_line()).decode("utf-8", "replace")
    if not greeting.startswith(("* OK", "* PREAUTH")):
        raise Refused(f"greets with {greeting[:150]}")
    values["BANNER"] = greeting
    if config.tls == "starttls":
        await _say(wire, "a1", "STARTTLS")
        await wire.secure(_context(config), server_name=config.host)
    said = await _say(wire, "a2", "CAPABILITY")
    values["BODY"] = next(
        (line.removeprefix("* CAPABILITY ").split() for line in said if "CAPABILITY" in line), []
    )
    if config.password is not None:
        secret = config.password.get_secret_value()
        await _say(wire, "a3", f"LOGIN {_quoted(config.username)} {_quoted(secret)}", "the sign-in")
    await wire.send(b"a4 LOGOUT\r\n")


async def _say(wire: Wire, tag: str, line: str, about: str = "") -> list[str]:
    """Give one command and return the lines before its answer; raises `Refused`."""
    await wire.send(f"{tag} {line}\r\n".encode())
    said: list[str] = []
    for _ in range(MOST_LINES):
        heard = (await wire.read_line()).decode("utf-8", "replace")
        if heard.startswith(f"{tag} OK"):
            return said
        if heard.startswith(f"{tag} "):
            raise Refused(f"answers {about or line} with {heard.removeprefix(tag + ' ')[:150]}")
        said.append(heard)
    raise OutboundError("protocol", f"{wire.host} answers without an end")


def _quoted(text: str) -> str:
    """A quoted string of RFC 3501; line ends cannot be in one."""
    bare = text.replace("\r", "").replace("\n", "")
    escaped = bare.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
