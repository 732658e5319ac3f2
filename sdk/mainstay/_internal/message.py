"""The message that carries requests to the server: wire/requests, produced."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mainstay._internal.clock import rfc3339

SDK_NAME = "mainstay.python"
SDK_VERSION = "0.1.0"

# A method is free text on the wire, and scanners use that; the name is OpenTelemetry's.
METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY")
)
OTHER_METHOD: Final = "_OTHER"


def known_method(method: str) -> str:
    """Return the method, or ``_OTHER``, so that neither names nor memory grow with inventions."""
    return method if method in METHODS else OTHER_METHOD


class MeasuredRequest(NamedTuple):
    """One request as it was measured; kept raw, because encoding is the sender's work."""

    at: float
    method: str
    path: str
    status: int
    duration_seconds: float
    client_address: str
    trace_id: str | None
    api_key: str = ""


class Origin(NamedTuple):
    """What all requests of this process have in common."""

    environment: str
    release: str | None
    server_name: str | None


def encode_requests(
    requests: Sequence[MeasuredRequest],
    *,
    origin: Origin,
    batch_id: str,
    dropped: int,
    sent_at: float,
) -> bytes:
    """Return the message as JSON.

    ``batch_id`` is the same when it is sent again. ``dropped`` counts the requests that this
    process measured and could not deliver since the last message. What is not known (release,
    server name, trace id) is left out.
    """
    body: dict[str, Any] = {
        "sdk": {"name": SDK_NAME, "version": SDK_VERSION},
        "environment": origin.environment,
    }
    if origin.release is not None:
        body["release"] = origin.release
    if origin.server_name is not None:
        body["serverName"] = origin.server_name
    body["batchId"] = batch_id
    body["sentAt"] = rfc3339(sent_at)
    body["dropped"] = dropped
    body["requests"] = [_request(request) for request in requests]
    return json.dumps(body, separators=(",", ":")).encode()


def _request(request: MeasuredRequest) -> dict[str, Any]:
    item: dict[str, Any] = {
        "at": rfc3339(request.at),
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "durationMs": round(request.duration_seconds * 1000, 3),
        "clientAddress": request.client_address,
        "apiKey": request.api_key,
    }
    if request.trace_id is not None:
        item["traceId"] = request.trace_id
    return item
