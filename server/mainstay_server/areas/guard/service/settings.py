"""The general sections of a policy: mode, client, body, headers, CORS; defaults that are safe."""

import ipaddress
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from mainstay_server.areas.guard.models import DEFAULT_BODY_BYTES, GuardSettings, Mode
from mainstay_server.areas.guard.schemas import (
    ClientSection,
    CorsSection,
    GuardSettingsBody,
    HeadersSection,
)
from mainstay_server.contracts.guard import GuardSettingsChanged
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef

# OWASP Secure Headers Project, `headers_add.json` and `headers_remove.json` of 2026-07. Its
# Clear-Site-Data is for sign-out only and its COEP breaks pages that embed others', so both are
# left to the app. HSTS is set by the guard only on TLS, where RFC 6797 lets it count.
DEFAULT_HEADERS = {
    "Cache-Control": "no-store, max-age=0",
    "Content-Security-Policy": (
        "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none';"
        " frame-ancestors 'none'; upgrade-insecure-requests"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # `no-referrer` makes browsers send `Origin: null` with forms, which CSRF checks refuse.
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "X-Permitted-Cross-Domain-Policies": "none",
}
DEFAULT_REMOVED = ["Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_METHOD = re.compile(r"[A-Z]{1,20}")
LONGEST_HEADER = 4000
# RFC 9110, 7.6.1, and what frames a body: set by hand they break answers.
OF_THE_CONNECTION = {
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def find_settings(session: Session, instance_id: str) -> GuardSettings:
    """What holds for an instance: its own settings, or the defaults, which nobody stored."""
    found = session.get(GuardSettings, instance_id)
    return found if found is not None else _defaults(instance_id)


def change_settings(
    session: Session, instance: InstanceRef, body: GuardSettingsBody, *, now: datetime
) -> GuardSettings:
    """Change what was given, and have every process and app follow within a second.

    Raises:
        Invalid: a network, header, method or origin that is none.
    """
    given = body.model_fields_set
    row = session.get(GuardSettings, instance.id)
    if row is None:
        row = _defaults(instance.id)
        session.add(row)
    before = _as_told(row)
    if body.mode is not None:
        row.mode = body.mode
    if body.client is not None:
        row.client = _clean_client(body.client)
    if body.most_body_bytes is not None:
        row.most_body_bytes = body.most_body_bytes
    if body.headers is not None:
        row.headers = _clean_headers(body.headers)
    if "cors" in given:
        row.cors = None if body.cors is None else _clean_cors(body.cors)
    row.changed_at = now
    session.flush()
    say(
        session,
        GuardSettingsChanged(
            **instance.ids,
            environment=instance.environment,
            changes=changes_between(before, _as_told(row)),
        ),
        now=now,
    )
    touch_policies(session, [instance.id])
    return row


def sections(row: GuardSettings) -> dict[str, Any]:
    """The sections of the policy that are not an area's."""
    made: dict[str, Any] = {
        "client": row.client,
        "body": {"mostBytes": row.most_body_bytes},
        "headers": row.headers,
    }
    if row.cors is not None:
        made["cors"] = row.cors
    return made


def _defaults(instance_id: str) -> GuardSettings:
    return GuardSettings(
        instance_id=instance_id,
        mode=Mode.ENFORCE,
        client=ClientSection().model_dump(by_alias=True),
        most_body_bytes=DEFAULT_BODY_BYTES,
        headers={"set": dict(DEFAULT_HEADERS), "remove": list(DEFAULT_REMOVED)},
        cors=None,
    )


def _as_told(row: GuardSettings) -> dict[str, Any]:
    return {
        "mode": str(row.mode),
        "client": row.client,
        "mostBodyBytes": row.most_body_bytes,
        "headers": row.headers,
        "cors": row.cors,
    }


def _clean_client(section: ClientSection) -> dict[str, Any]:
    networks = []
    for text in section.trusted_networks:
        try:
            networks.append(str(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:  # noqa: PERF203 - names the one that is wrong
            raise Invalid(
                f"client.trustedNetworks: {text[:60]!r} is no address or network;"
                " write it like 10.0.0.0/8."
            ) from None
    return {**section.model_dump(by_alias=True), "trustedNetworks": networks}


def _clean_headers(section: HeadersSection) -> dict[str, Any]:
    for name in (*section.set, *section.remove):
        if not _HEADER_NAME.fullmatch(name):
            raise Invalid(f"headers: {name[:60]!r} is no name of a header (RFC 9110, 5.1).")
        if name.lower() in OF_THE_CONNECTION:
            raise Invalid(f"headers: {name} belongs to the connection; leave it to the server.")
    for name, value in section.set.items():
        if len(value) > LONGEST_HEADER or not value.isascii() or not value.isprintable():
            raise Invalid(
                f"headers.set: the value of {name} must be at most {LONGEST_HEADER} printable"
                " ASCII characters in one line."
            )
    return section.model_dump(by_alias=True)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return f"{parts.scheme}://{parts.netloc}" == text and parts.scheme in ("http", "https")


def _clean_cors(section: CorsSection) -> dict[str, Any]:
    for origin in section.origins:
        if origin == "*" and not section.credentials:
            continue
        if not _is_origin(origin):
            raise Invalid(
                f"cors.origins: {origin[:60]!r} is no origin; write it like https://app.example,"
                " and `*` only without credentials."
            )
    for method in section.methods:
        if not _METHOD.fullmatch(method):
            raise Invalid(f"cors.methods: {method[:30]!r} is no method; write it like GET.")
    for name in (*section.headers, *section.expose):
        if not _HEADER_NAME.fullmatch(name):
            raise Invalid(f"cors: {name[:60]!r} is no name of a header (RFC 9110, 5.1).")
    return section.model_dump(by_alias=True)
