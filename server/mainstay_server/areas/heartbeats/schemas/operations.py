"""The words of the ways in for reports in OpenAPI, since no framework knows of them."""

from typing import Any

Json = dict[str, Any]

TAG = "Heartbeats"
TEXT: Json = {"text/plain": {"schema": {"type": "string"}, "example": "OK"}}
UUID: Json = {
    "in": "path",
    "name": "uuid",
    "required": True,
    "description": "The UUID in the address of a heartbeat.",
    "schema": {"type": "string", "examples": ["6d2b8c4e-4f0a-4f6e-9a57-1f0f6f1f2a55"]},
}
PING_KEY: Json = {
    "in": "path",
    "name": "pingKey",
    "required": True,
    "description": "A ping key of the instance or its project.",
    "schema": {"type": "string", "examples": ["fqOOd6-F4MMNuCEnzTU01w"]},
}
SLUG: Json = {
    "in": "path",
    "name": "slug",
    "required": True,
    "description": "The slug of a heartbeat.",
    "schema": {"type": "string", "examples": ["nightly-backup"]},
}
SIGNAL: Json = {
    "in": "path",
    "name": "signal",
    "required": True,
    "description": "`start`, `fail`, `log`, or an exit status: 0 succeeded, 1 to 255 failed.",
    "schema": {"type": "string", "examples": ["start"]},
}
RUN: Json = {
    "in": "query",
    "name": "rid",
    "description": "A UUID that start and end of one run have in common.",
    "schema": {"type": "string", "examples": ["728b3763-fa75-4ee2-a4a0-4a6f3b6f5d5b"]},
}
LATE: Json = {
    "in": "query",
    "name": "late",
    "description": "How many seconds ago the end of the run `rid` was, when it was sent before: one"
    " that is known already is taken no second time.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999, "examples": [90]},
}
CREATE: Json = {
    "in": "query",
    "name": "create",
    "description": "1 makes a heartbeat of that slug if there is none.",
    "schema": {"type": "string", "enum": ["0", "1"]},
}
REFUSED: Json = {
    "description": "Refused, in a few words of text; 429 and 503 say when to come back",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "not found"}},
}
ABOUT = (
    "A job says how it is: that it succeeded, or with a signal in the path that it started, failed,"
    " has something to note, or ended with an exit status. The answer comes when it is stored. Of a"
    " body the first 10,000 bytes are kept. HEAD and POST do the same as GET."
)


def _operation(name: str, summary: str, parameters: list[Json], *, body: bool) -> Json:
    operation: Json = {
        "tags": [TAG],
        "summary": summary,
        "description": ABOUT,
        "operationId": name,
        "security": [],
        "parameters": parameters,
        "responses": {
            "200": {"description": "Stored", "content": TEXT},
            "201": {"description": "Stored, and the heartbeat is new", "content": TEXT},
            "4XX": REFUSED,
            "503": REFUSED,
        },
    }
    if body:
        operation["requestBody"] = {
            "required": False,
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "3.2 GB in 38 s"}},
        }
    return operation


def ping_operations(name: str, summary: str, parameters: list[Json]) -> dict[str, Json]:
    """GET and POST of one form of the address."""
    return {
        "get": _operation(name, summary, parameters, body=False),
        "post": _operation(f"{name}WithBody", f"{summary}, with a body", parameters, body=True),
    }


FORMS: dict[str, dict[str, Json]] = {
    "/ping/{uuid}": ping_operations("ping", "Report a success", [UUID, RUN, LATE]),
    "/ping/{uuid}/{signal}": ping_operations("pingSignal", "Report", [UUID, SIGNAL, RUN, LATE]),
    "/ping/{pingKey}/{slug}": ping_operations(
        "pingByName", "Report a success by name", [PING_KEY, SLUG, RUN, LATE, CREATE]
    ),
    "/ping/{pingKey}/{slug}/{signal}": ping_operations(
        "pingSignalByName", "Report by name", [PING_KEY, SLUG, SIGNAL, RUN, LATE, CREATE]
    ),
}


def _query(name: str, description: str, example: str) -> Json:
    return {
        "in": "query",
        "name": name,
        "description": description,
        "schema": {"type": "string", "examples": [example]},
    }


KUMA: Json = {
    "tags": [TAG],
    "summary": "Report as to Uptime Kuma",
    "description": "The push address of Uptime Kuma, with any method; the token is a heartbeat's"
    " UUID, or the one that it had there.",
    "operationId": "pushAsToKuma",
    "security": [],
    "parameters": [
        {**UUID, "name": "token", "description": "A heartbeat's UUID or push token."},
        _query("status", "`up` or `down`; up if nothing is said.", "up"),
        _query("msg", "What to keep with the report.", "OK"),
        _query("ping", "A duration in milliseconds.", "23"),
    ],
    "responses": {
        "200": {
            "description": "Stored",
            "content": {
                "application/json": {
                    "schema": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
                    "example": {"ok": True},
                }
            },
        },
        "4XX": {
            "description": "Refused",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"ok": {"type": "boolean"}, "msg": {"type": "string"}},
                    },
                    "example": {"ok": False, "msg": "Monitor not found or not active."},
                }
            },
        },
    },
}
GATUS: Json = {
    "tags": [TAG],
    "summary": "Report as to Gatus",
    "description": "The address of Gatus' external endpoints; the bearer token is a ping key.",
    "operationId": "pushAsToGatus",
    "security": [{"apiKey": []}],
    "parameters": [
        SLUG,
        {**_query("success", "Whether it succeeded.", "true"), "required": True},
        _query("error", "What to keep with the report.", "no space left"),
        _query("duration", "How long it took, as Go writes it.", "10s"),
    ],
    "responses": {
        "200": {
            "description": "Stored",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": ""}},
        },
        "4XX": REFUSED,
    },
}
