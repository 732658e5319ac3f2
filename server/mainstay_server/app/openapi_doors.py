"""The ingest doors in OpenAPI's words: they stand before the framework, which cannot tell them."""

from typing import Any

from mainstay_server.contracts.alerts.severities import Severity

Json = dict[str, Any]

KEY_SCHEMES: Json = {
    "sentryAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Sentry-Auth",
        "description": "`Sentry sentry_key=<ingest key>`, as every Sentry SDK sends it.",
    },
    "sentryKey": {
        "type": "apiKey",
        "in": "query",
        "name": "sentry_key",
        "description": "The ingest key in the address, as browsers' SDKs send it.",
    },
    "ingestKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "The ingest key: the part of the DSN before the `@`. It may only send.",
    },
}
KEY = "0123456789abcdef0123456789abcdef"
EVENT_ID = "f48b04b6cedb4a0899abd24a4c8f806e"
ENVELOPE = (
    f'{{"event_id":"{EVENT_ID}","dsn":"https://{KEY}@mainstay.example/1"}}\n'
    '{"type":"event"}\n'
    '{"message":"The inspection queue is empty","level":"error","environment":"production"}\n'
)
EVENT = {
    "event_id": EVENT_ID,
    "message": "The inspection queue is empty",
    "level": "error",
    "environment": "production",
}
BATCH = {
    "sdk": {"name": "mainstay.python", "version": "0.1.0"},
    "environment": "production",
    "batchId": "0d5b3c0e6a7f4c1e9a52d7b8f4e61c30",
    "requests": [
        {
            "at": "2026-11-21T02:59:59.120Z",
            "method": "GET",
            "path": "/inspections/{inspection_id}",
            "status": 200,
            "durationMs": 12.3,
        }
    ],
}
ALERTS = {
    "environment": "production",
    "alerts": [
        {
            "id": "8f14e45fceea467fae6a3c1c5b0a1c11",
            "severity": "high",
            "title": "Payments are refused",
            "message": "The provider answered 503 five times in a row.",
            "metadata": {"provider": "acme"},
        }
    ],
}
_TAKEN: Json = {
    "description": "Stored",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"id": {"type": "string", "description": "The event's id."}},
            },
            "example": {"id": EVENT_ID},
        }
    },
}
# Sentry's SDKs log `detail` and obey `Retry-After` and `X-Sentry-Rate-Limits`.
_REFUSED: Json = {
    "description": "Refused; 429 and 503 say in `Retry-After` when to come back",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["detail", "causes"],
                "properties": {
                    "detail": {"type": "string"},
                    "causes": {"type": "array", "items": {"type": "string"}},
                },
            },
            "example": {
                "detail": "The ingest key is unknown or disabled; copy the DSN from the project.",
                "causes": ["forbidden"],
            },
        },
        # From before the door, when the number is none.
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}
_KEYS: list[Json] = [{"sentryAuth": []}, {"sentryKey": []}, {"ingestKey": []}]


def _door(operation_id: str, summary: str, description: str, media: str, body: Json) -> Json:
    return {
        "tags": ["Sending"],
        "summary": summary,
        "description": description,
        "operationId": operation_id,
        "security": _KEYS,
        "requestBody": {"required": True, "content": {media: body}},
        "responses": {"200": _TAKEN, "4XX": _REFUSED, "503": _REFUSED},
    }


DOORS: dict[str, dict[str, Json]] = {
    "envelope/": {
        "post": _door(
            "sendEnvelope",
            "Send an envelope",
            "What Sentry's SDKs send: a line of JSON for the envelope, then a line and a payload"
            " for each item. 200 means stored; kinds of items that nobody takes are skipped.\n\n"
            "The body may be compressed (`gzip`, `deflate`, `br`, `zstd`).",
            "application/x-sentry-envelope",
            {"schema": {"type": "string"}, "example": ENVELOPE},
        )
    },
    "store/": {
        "post": _door(
            "sendEvent",
            "Send one error event",
            "One error event as JSON, the way of SDKs before envelopes; 200 means stored.",
            "application/json",
            {
                "schema": {
                    "type": "object",
                    "properties": {
                        "event_id": {"type": "string"},
                        "message": {"type": "string"},
                        "level": {"type": "string"},
                        "environment": {"type": "string"},
                    },
                },
                "example": EVENT,
            },
        )
    },
    "requests/": {
        "post": _door(
            "sendRequests",
            "Send a batch of served requests",
            "What Mainstay's SDK sends about once a second: up to 1,000 requests that the app"
            " served, each by its route's template. 200 means stored.",
            "application/json",
            {
                "schema": {
                    "type": "object",
                    "required": ["requests"],
                    "properties": {
                        "environment": {"type": "string", "default": "production"},
                        "release": {"type": "string"},
                        "serverName": {"type": "string"},
                        "dropped": {"type": "integer", "minimum": 0},
                        "sentAt": {"type": "string", "format": "date-time"},
                        "sdk": {"type": "object"},
                        "requests": {
                            "type": "array",
                            "maxItems": 1000,
                            "items": {
                                "type": "object",
                                "required": ["at", "method", "path", "status", "durationMs"],
                                "properties": {
                                    "at": {"type": "string", "format": "date-time"},
                                    "method": {"type": "string", "maxLength": 20},
                                    "path": {"type": "string", "maxLength": 500},
                                    "status": {"type": "integer", "minimum": 100, "maximum": 599},
                                    "durationMs": {"type": "number", "minimum": 0},
                                    "clientAddress": {"type": "string", "maxLength": 64},
                                    "apiKey": {"type": "string", "maxLength": 200},
                                    "traceId": {"type": "string", "maxLength": 32},
                                },
                            },
                        },
                    },
                },
                "example": BATCH,
            },
        )
    },
}
# This door is not Sentry's, so it refuses as everything of ours does, and answers nothing.
_CHECK_IN: Json = {
    "post": {
        "tags": ["Sending"],
        "summary": "Send a check-in",
        "description": "A check-in of a job as Sentry's SDKs know it, at an address with the slug"
        " of the job after it (`cron/nightly-backup`), and an ingest key after that if it is sent"
        " in no other way. The status may stand in the query instead. 202 means stored.",
        "operationId": "sendCheckIn",
        "security": _KEYS,
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "status": {"type": "string", "enum": ["in_progress", "ok", "error"]},
                            "check_in_id": {"type": "string"},
                            "environment": {"type": "string"},
                            "duration": {"type": "number", "minimum": 0},
                            "monitor_config": {"type": "object"},
                        },
                    },
                    "example": {"status": "ok", "duration": 38.2},
                }
            },
        },
        "responses": {"202": {"description": "Stored"}, "4XX": _REFUSED, "503": _REFUSED},
    }
}
DOORS["alerts/"] = {
    "post": _door(
        "sendAlerts",
        "Send alerts of an app",
        "What `mainstay.send_alert` sends: an alert is heard once by its id, and one at most is"
        " active of a title. Beyond the hourly number of the rule `app_alert` one stands for the"
        " rest. 200 means stored.",
        "application/json",
        {
            "schema": {
                "type": "object",
                "required": ["alerts"],
                "properties": {
                    "environment": {"type": "string", "default": "production", "maxLength": 64},
                    "release": {"type": "string", "maxLength": 200},
                    "serverName": {"type": "string", "maxLength": 200},
                    "sentAt": {"type": "string", "format": "date-time"},
                    "sdk": {"type": "object"},
                    "alerts": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 50,
                        "items": {
                            "type": "object",
                            "required": ["id", "severity", "title"],
                            "properties": {
                                "id": {"type": "string", "minLength": 8, "maxLength": 64},
                                "at": {"type": "string", "format": "date-time"},
                                "severity": {"enum": [each.value for each in Severity]},
                                "title": {"type": "string", "minLength": 1, "maxLength": 200},
                                "message": {"type": "string", "maxLength": 1500},
                                "metadata": {
                                    "type": "object",
                                    "maxProperties": 20,
                                    "additionalProperties": {"type": "string", "maxLength": 500},
                                },
                            },
                        },
                    },
                },
            },
            "example": ALERTS,
        },
    )
}
_BY_QUERY = {k: v for k, v in _CHECK_IN["post"].items() if k != "requestBody"}
_BY_QUERY |= {"operationId": "sendCheckInByQuery", "summary": "Send a check-in by a query"}
DOORS["cron/"] = {"get": _BY_QUERY, **_CHECK_IN}
DOORS["alerts/"]["post"]["responses"] = DOORS["requests/"]["post"]["responses"] = {
    "200": {
        "description": "Stored",
        "content": {"application/json": {"schema": {"type": "object"}, "example": {}}},
    },
    "4XX": {"$ref": "#/components/responses/Refusal"},
    "503": {"$ref": "#/components/responses/Refusal"},
}
DOORS["emails/"] = {
    "post": {
        "tags": ["Sending"],
        "summary": "Send mail by DSN",
        "description": "What `POST /api/emails` takes, with an ingest key instead of an access"
        " token, where the project lets its DSN send mail. 202 means stored. `Idempotency-Key`"
        " as there.",
        "operationId": "sendEmailByDsn",
        "security": _KEYS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/EmailBody"},
                    "example": {
                        "to": "ann@example.com",
                        "template": "task_finished",
                        "data": {"userName": "Ann Smith", "status": "pass"},
                    },
                }
            },
        },
        "responses": {
            "202": {
                "description": "Stored",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/AcceptedAnswer"},
                        "example": {
                            "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
                            "emails": [
                                {
                                    "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
                                    "to": "ann@example.com",
                                    "state": "queued",
                                }
                            ],
                        },
                    }
                },
            },
            "4XX": {"$ref": "#/components/responses/Refusal"},
            "503": {"$ref": "#/components/responses/Refusal"},
        },
    }
}
