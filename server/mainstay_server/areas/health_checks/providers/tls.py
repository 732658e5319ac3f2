"""The certificate check of any port that speaks TLS, at once or after STARTTLS."""

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    checked_host,
)
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.certificates import Certificate
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.outbound import OutboundError, Timings, Wire

LABEL = "TLS certificate"
VALUES = frozenset(
    {"CONNECTED", "RESPONSE_TIME", "IP", "CERTIFICATE_EXPIRATION", "CHAIN_EXPIRATION"}
    | {"SUBJECT", "ISSUER", "NAMES", "TLS_VERSION", "CIPHER"}
)
EXAMPLE: Mapping[str, Any] = {"host": "mail.example.com", "port": 587, "starttls": "smtp"}
# OpenSSL's numbers (x509_vfy.h) for what people get wrong.
EXPIRED = 10
NOT_YET = 9
SELF_SIGNED = 18
SELF_SIGNED_IN_CHAIN = 19
ISSUER_UNKNOWN = (2, 20, 21)
WRONG_NAME = (62, 64)


class Config(ProviderConfig):
    """Where to shake hands. `serverName` is the name the certificate must have: usually the host's.

    `starttls` names the protocol in whose words TLS is asked for. Without `verify` any
    certificate will do, and only its end is watched.
    """

    host: Host
    port: Port = 443
    server_name: Annotated[str, AfterValidator(lambda name: name and checked_host(name))] = ""
    starttls: Literal["", "smtp", "imap", "pop3", "ftp", "ldap", "postgres", "mysql"] = ""
    verify: bool = True


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the other side showed."""

    chain: Sequence[Certificate]
    version: str
    cipher: str
    address: str
    timings: Timings


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Shake hands; healthy when the certificate is trusted and of that name."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    fault: ssl.SSLCertVerificationError | None = None
    try:
        try:
            shown = await _shake(order, config, verify=config.verify)
        except OutboundError as error:
            if not isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise
            fault = error.__cause__
            # Once more without looking, to see what it is that nobody trusts.
            shown = await _shake(order, config, verify=False)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    result = order.answered(shown.timings, values=_values(shown), facts=_facts(shown))
    if fault is None:
        return result
    now = utc_now()
    return result.worsened(HealthState.UNHEALTHY, why_not_trusted(fault, shown.chain, config, now))


async def _shake(order: ProbeOrder, config: Config, *, verify: bool) -> Shown:
    context = outbound.tls_context(verify=verify)
    name = config.server_name or config.host
    async with outbound.dial(
        config.host,
        config.port,
        timeout_seconds=order.timeout_seconds,
        tls=None if config.starttls else context,
        server_name=name,
    ) as wire:
        if config.starttls:
            await outbound.begin_tls(wire, config.starttls, context=context, server_name=name)
        return _seen(wire)


def _seen(wire: Wire) -> Shown:
    session = wire.tls
    assert session is not None, "the handshake is over"
    cipher = session.cipher()
    chain = [certificates.find(der) for der in certificates.chain_of(session)]
    if not chain or chain[0] is None:
        raise OutboundError("tls", f"The certificate of {wire.host} cannot be read")
    return Shown(
        chain=[each for each in chain if each is not None],
        version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        address=wire.address,
        timings=wire.timings(),
    )


def _values(shown: Shown) -> dict[str, object]:
    own = shown.chain[0]
    return {
        "IP": shown.address,
        "SUBJECT": own.subject,
        "ISSUER": own.issuer,
        "NAMES": list(own.names),
        "TLS_VERSION": shown.version,
        "CIPHER": shown.cipher,
    }


def _facts(shown: Shown) -> dict[str, Fact]:
    own = shown.chain[0]
    return {
        "certificate_ends_at": own.ends_at.timestamp(),
        "certificate_subject": own.subject,
        "certificate_issuer": own.issuer,
        "certificate_serial": own.serial,
        "chain_ends_at": min(each.ends_at for each in shown.chain).timestamp(),
        "tls_version": shown.version,
    }


def why_not_trusted(  # noqa: PLR0911 - one per mistake
    fault: ssl.SSLCertVerificationError,
    chain: Sequence[Certificate],
    config: Config,
    now: datetime,
) -> str:
    """What is wrong with a certificate, in a sentence that says whose and since when."""
    own, code = chain[0], fault.verify_code
    if code == EXPIRED:
        late = next((each for each in chain if each.ends_at <= now), own)
        whose = "the certificate" if late is own else f"the intermediate {late.subject}"
        return f"{whose} expired on {late.ends_at:%Y-%m-%d %H:%M} UTC"
    if code == NOT_YET:
        early = next((each for each in chain if each.begins_at > now), own)
        return f"the certificate {early.subject} begins on {early.begins_at:%Y-%m-%d %H:%M} UTC"
    if code in WRONG_NAME:
        names = ", ".join(own.names[:5]) or own.subject
        return f"the certificate is for {names}, not for {config.server_name or config.host}"
    if code == SELF_SIGNED and own.is_self_signed:
        return f"the certificate of {own.subject} is self-signed: no authority vouches for it"
    if code in (SELF_SIGNED, SELF_SIGNED_IN_CHAIN):
        return f"the authority {chain[-1].subject} is not trusted"
    if code in ISSUER_UNKNOWN:
        return _unknown_issuer(chain)
    return f"the certificate is not trusted: {fault.verify_message}"


def _unknown_issuer(chain: Sequence[Certificate]) -> str:
    last = chain[-1]
    if last.is_self_signed:
        return f"the authority {last.subject} is not trusted"
    return (
        f"the chain ends at {last.subject}: the intermediate {last.issuer} is missing from what"
        " the server sends, or not trusted"
    )
