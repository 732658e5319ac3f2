"""Mail through Mainstay: handed over in one call that says whether it is stored."""

import http.client
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mainstay._internal.client import active_client
from mainstay._internal.dsn import Dsn
from mainstay._internal.message import SDK_NAME, SDK_VERSION
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.transport import NO_ANSWER

_TIMEOUT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0
_MOST_ANSWER_BYTES = 65_536
_STORED = 202
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class _Answer(NamedTuple):
    status: int
    body: bytes


def send_email(  # noqa: PLR0913 - what a mail is made of
    *,
    to: str | Sequence[str],
    template: str | None = None,
    data: Mapping[str, Any] | None = None,
    subject: str = "",
    html: str = "",
    text: str = "",
    reply_to: str = "",
    idempotency_key: str | None = None,
    token: str | None = None,
    project: str = "",
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> str:
    """Hand a mail to Mainstay; return its id once it is stored there, or ``""`` if it is not.

    Give a ``template`` and its ``data``, or a ``subject`` with ``html``, ``text`` or both. Each
    address of ``to`` gets a mail of its own; the id is that of the first. What is stored is tried
    until it is decided, so nothing more is to be done here.

    Waits for the answer, at most ``timeout_seconds``, and asks again where none came: under one
    ``idempotency_key`` (made when not given) nothing is sent twice within 24 hours, so give one
    that names what the mail is about and call again after a crash. In an async app call it with
    ``await asyncio.to_thread(mainstay.send_email, ...)``.

    ``token`` is an access token with ``project:write``, else MAINSTAY_TOKEN. Without one the DSN is
    used, which sends mail only where the project lets it. A refusal is told in the log of the
    logger ``mainstay``; nothing is raised.
    """
    with SHIELD:
        addresses = to if isinstance(to, str) else list(to)
        words = {"subject": subject, "html": html, "text": text, "replyTo": reply_to}
        body = {"to": addresses, "template": template, "data": dict(data or {}), **words}
        key = idempotency_key or uuid.uuid4().hex
        return _send(
            {**body, "project": project}, key=key, token=token, timeout_seconds=timeout_seconds
        )
    return ""


def _send(body: dict[str, Any], *, key: str, token: str | None, timeout_seconds: float) -> str:
    client = active_client()
    if client is None:
        logger.warning("Mainstay is off, so no mail was sent: call mainstay.init first.")
        return ""
    given = {name: value for name, value in body.items() if value}
    return hand_over(
        client.dsn,
        json.dumps(given, allow_nan=False).encode(),
        key=key,
        token=token or os.environ.get("MAINSTAY_TOKEN") or "",
        timeout_seconds=timeout_seconds,
    )


def hand_over(
    dsn: Dsn,
    body: bytes,
    *,
    key: str,
    token: str,
    timeout_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Ask until there is an answer that decides, under one key, within the time."""
    ends_at = time.monotonic() + timeout_seconds
    pause, why = _FIRST_PAUSE_SECONDS, "no time was given"
    while (left := ends_at - time.monotonic()) > 0:
        try:
            answer = _ask(dsn, body, key=key, token=token, timeout_seconds=left)
        except NO_ANSWER as error:
            why = f"no answer: {error}"
        else:
            if answer.status == _STORED:
                return _id_in(answer.body)
            why = f"{answer.status}: {_detail_in(answer.body)}"
            if answer.status not in _AGAIN:
                break
        sleep(max(0.0, min(pause, ends_at - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    logger.error("A mail was not taken by Mainstay (%s).", why)
    return ""


def _ask(dsn: Dsn, body: bytes, *, key: str, token: str, timeout_seconds: float) -> _Answer:
    kind = http.client.HTTPSConnection if dsn.scheme == "https" else http.client.HTTPConnection
    connection = kind(dsn.host, dsn.port, timeout=timeout_seconds)
    path = f"{dsn.prefix}/api/emails" if token else f"{dsn.prefix}/api/{dsn.number}/emails/"
    headers = {
        "Authorization": f"Bearer {token or dsn.key}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": f"{SDK_NAME}/{SDK_VERSION}",
    }
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return _Answer(response.status, response.read(_MOST_ANSWER_BYTES))
    finally:
        connection.close()


def _id_in(body: bytes) -> str:
    return str(_document(body).get("id", ""))


def _detail_in(body: bytes) -> str:
    return str(_document(body).get("detail", "no reason was given"))[:500]


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
