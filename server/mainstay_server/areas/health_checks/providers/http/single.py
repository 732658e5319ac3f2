"""The HTTP check: one request, judged by status, by speed and by the app's own health document."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from typing_extensions import Self

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Part,
    ProbeOrder,
    ProbeResult,
    Secret,
)
from mainstay_server.areas.health_checks.schemas.places import (
    Secrets,
    opened,
    places_in,
    without,
)
from mainstay_server.kernel import certificates
from mainstay_server.kernel.outbound import OutboundError, Response

from .asking import (
    Asking,
    Pem,
    basic,
    fault_of,
    safe_url,
    send,
    values_of,
)
from .documents import Document, read_document

LABEL = "Web page or API"
VALUES = frozenset(
    {"STATUS", "RESPONSE_TIME", "CONNECTED", "IP", "BODY", "HEADER", "SIZE", "REDIRECTS"}
    | {"CERTIFICATE_EXPIRATION", "DOMAIN_EXPIRATION"}
)
ANY_STATUS = ["100-599"]  # a condition decides
EXAMPLE: Mapping[str, Any] = {
    "method": "POST",
    "headers": {"x-api-key": "{{key}}"},
    "body": '{"query": "ping"}',
    "acceptedStatuses": ["200-299"],
    "secrets": {"key": "s3cr3t"},
}


class Config(Asking):
    """How to ask the URL of the check, which may be its instance's.

    `healthDocument` says whether a JSON answer with a status decides on the state and tells of the
    app's dependencies. `clientCertificate` is a PEM of a certificate, its chain and its key.
    """

    url: Annotated[str, Field(max_length=2_600)] = ""
    username: Annotated[str, Field(max_length=500)] = ""
    password: Secret | None = None
    bearer_token: Secret | None = None
    secrets: Secrets = Field(default_factory=dict)
    health_document: bool = True
    client_certificate: Pem | None = None

    @model_validator(mode="after")
    def _one_way_to_say_who(self) -> Self:
        if self.bearer_token and (self.username or self.password):
            raise ValueError("takes a user and a password, or a bearer token, not both")
        return self

    @model_validator(mode="after")
    def _every_place_can_be_filled(self) -> Self:
        known = set(opened(self.secrets))
        for text in (self.url, *self.texts):
            if unknown := places_in(text) - known:
                raise ValueError(f"has no secret {min(unknown)}, which {{{{…}}}} asks for")
        if places_in(urlsplit(self.url).netloc):
            raise ValueError("takes no place in the host of its URL")
        return self


def target_of(config: Config) -> str:
    """The URL without a user and a password, its places unfilled."""
    return safe_url(config.url)


def host_of(config: Config) -> str:
    """The host of the URL."""
    return urlsplit(config.url).hostname or ""


async def ask(order: ProbeOrder) -> ProbeResult:
    """Send the request, follow redirects, read at most 64 KiB, and judge.

    Unhealthy: no answer in time, a status that is not accepted (400 or more, unless said
    otherwise), another place than expected, or a health document that says so. Degraded: a
    document that says so, or an answer that took longer than the check allows.
    """
    config = Config.model_validate({"url": order.url, **order.config})
    values = opened(config.secrets)
    password, token = _open(config.password), _open(config.bearer_token)
    hidden = [*values.values(), password, token]
    pair = f"{config.username}:{password}" if config.username or password else ""
    began = time.monotonic()
    try:
        response = await send(
            config,
            config.url,
            values=values,
            timeout_seconds=order.timeout_seconds,
            authorization=f"Bearer {token}" if token else basic(pair),
            client_pem=_open(config.client_certificate),
        )
    except OutboundError as error:
        return _without_secrets(order.unanswered(error, began=began), hidden)
    return _without_secrets(_judged(order, config, response), hidden)


def _open(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _judged(order: ProbeOrder, config: Config, response: Response) -> ProbeResult:
    document = read_document(response) if config.health_document else None
    if order.speaks_of("STATUS") and not config.accepted_statuses:
        config = config.model_copy(update={"accepted_statuses": ANY_STATUS})
    result = replace(
        order.answered(
            response.timings,
            values=values_of(response) | _wire_of(response),
            facts=_facts_of(response),
        ),
        status_code=response.status,
        parts=_parts_of(document),
    )
    blamed = document.blamed if document else ""
    if document and document.state == "degraded":
        result = result.worsened(HealthState.DEGRADED, f"says that it is degraded{blamed}")
    if document and document.state == "unhealthy":
        result = result.worsened(HealthState.UNHEALTHY, f"says that it is unhealthy{blamed}")
    fault = fault_of(config, response)
    if fault:
        result = replace(result, state=HealthState.UNHEALTHY, reason=fault + blamed)
    return result


def _facts_of(response: Response) -> dict[str, Fact]:
    return {**certificates.ends_at(response.certificate_der)}


def _wire_of(response: Response) -> dict[str, object]:
    """What a scraper is told of the exchange, and nobody keeps."""
    length, der = response.headers.get("content-length", ""), response.certificate_der
    return {
        "CONTENT_LENGTH": int(length) if length.isdecimal() else -1,
        "HTTP_VERSION": float(response.http_version.removeprefix("HTTP/") or 0),
        "TLS": int(response.url.startswith("https:")),
        "TLS_VERSION": response.tls_version,
        "CERTIFICATE_FINGERPRINT": hashlib.sha256(der).hexdigest() if der else "",
    }


def _parts_of(document: Document | None) -> tuple[Part, ...]:
    if document is None:
        return ()
    return tuple(
        Part(
            name=line.name,
            state=HealthState(line.state),
            response_ms=line.response_ms,
            reason=line.reason,
        )
        for line in document.lines
    )


def _without_secrets(result: ProbeResult, hidden: list[str]) -> ProbeResult:
    return replace(result, reason=without(result.reason, hidden), hidden=tuple(hidden))
