"""The guard's plain routes in OpenAPI's words; bodies are those that the doors decode."""

from typing import Any

import msgspec

from mainstay_server.areas.guard.schemas import Report, Verdict, VerifyBody

Json = dict[str, Any]

INSTANCE = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
TAG = "Guard"
GUARD_KEY: list[Json] = [{"guardKey": []}]
REFUSAL: Json = {"$ref": "#/components/responses/Refusal"}


def _schema(kind: type) -> Json:
    """The JSON Schema of a message, whole in itself."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    whole: Json = _inlined(schema, components)
    return whole


def _inlined(part: Any, components: Json) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(part, dict):
        if "$ref" in part:
            return _inlined(components[part["$ref"]], components)
        return {name: _inlined(value, components) for name, value in part.items()}
    if isinstance(part, list):
        return [_inlined(value, components) for value in part]
    return part


def _in(place: str, name: str, about: str, example: object, kind: str = "string") -> Json:
    return {
        "in": place,
        "name": name,
        "required": False,
        "description": about,
        "schema": {"type": kind, "examples": [example]},
    }


CHECK: Json = {
    "tags": [TAG],
    "summary": "May this request pass",
    "description": (
        "For proxies: nginx `auth_request`, Traefik ForwardAuth, Envoy `ext_authz`. 200 lets the"
        " request pass and says whose key it was; 401, 403 and 429 refuse it."
    ),
    "operationId": "checkGuard",
    "security": [{"apiKey": []}, {}],
    "parameters": [
        _in("query", "instance", "The instance; wins over the header.", INSTANCE),
        _in("query", "scopes", "Scopes that are needed, with spaces between.", "insight:read"),
        _in("query", "cost", "What the request is charged.", 1, "integer"),
        _in("header", "X-Mainstay-Instance", "The instance.", INSTANCE),
        _in("header", "X-Forwarded-Method", "The method of the request.", "GET"),
        _in("header", "X-Forwarded-Uri", "Its path and query.", "/api/insights?page=2"),
        _in(
            "header", "X-Forwarded-For", "Who sent it; believed of trusted proxies.", "203.0.113.9"
        ),
        _in("header", "X-API-Key", "The API key, when it is no Bearer token.", "mst_production_…"),
    ],
    "responses": {
        "200": {
            "description": "It may pass",
            "headers": {
                "X-Mainstay-Key-Id": {"schema": {"type": "string"}},
                "X-Mainstay-Owner": {"schema": {"type": "string"}},
                "X-Mainstay-Plan": {"schema": {"type": "string"}},
                "X-Mainstay-Scopes": {"schema": {"type": "string"}},
            },
        },
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
CHECK_BY_POST: Json = {**CHECK, "operationId": "checkGuardByPost"}
VERIFY: Json = {
    "tags": [TAG],
    "summary": "May the bearer of this key do that",
    "description": "For servers in any language. The answer is 200 either way, and says why not.",
    "operationId": "verifyKey",
    "security": GUARD_KEY,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _schema(VerifyBody),
                "example": {
                    "key": "mst_production_api_rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr3wlnJl",
                    "method": "GET",
                    "path": "/api/insights",
                    "address": "203.0.113.9",
                },
            }
        },
    },
    "responses": {
        "200": {
            "description": "The verdict",
            "content": {
                "application/json": {
                    "schema": _schema(Verdict),
                    "example": {
                        "valid": True,
                        "code": "",
                        "detail": "",
                        "keyId": INSTANCE,
                        "owner": "acme",
                        "plan": "PRO",
                        "scopes": ["insight:read"],
                        "headers": {"RateLimit": '"default";r=99;t=1'},
                        "simulated": "",
                    },
                }
            },
        },
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
POLICY: Json = {
    "tags": [TAG],
    "summary": "The policy of an environment",
    "description": (
        "The document that apps decide by. With `If-None-Match` it is 304 while it is the same;"
        " with `wait` the question stays open until it changes."
    ),
    "operationId": "getPolicy",
    "security": GUARD_KEY,
    "parameters": [
        _in("query", "environment", "Which instance of the project.", "production"),
        _in("query", "wait", "Seconds to keep the question open, up to 55.", 0, "integer"),
        _in("header", "If-None-Match", "The ETag that is known.", '"5f0c2f2c2f0e4b7f"'),
    ],
    "responses": {
        "200": {
            "description": "The policy",
            "headers": {"ETag": {"schema": {"type": "string"}}},
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["version", "instanceId", "environment"],
                    },
                    "example": {
                        "version": 1,
                        "instanceId": INSTANCE,
                        "environment": "production",
                    },
                }
            },
        },
        "304": {"description": "It is the one that is known"},
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
REPORT: Json = {
    "tags": [TAG],
    "summary": "Report what passed the guard of an app",
    "description": "What Mainstay's SDK sends about once a second. 200 means stored and counted.",
    "operationId": "sendGuardReport",
    "security": GUARD_KEY,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _schema(Report),
                "example": {
                    "batchId": "5f0c2f2c2f0e4b7f9d2a4c1d7b6e8f90",
                    "passages": [
                        {
                            "at": "2026-11-21T02:59:59.000Z",
                            "method": "GET",
                            "route": "/api/insights",
                            "status": 200,
                            "count": 12,
                        }
                    ],
                },
            }
        },
    },
    "responses": {
        "200": {
            "description": "Stored",
            "content": {"application/json": {"schema": {"type": "object"}, "example": {}}},
        },
        "4XX": REFUSAL,
        "503": REFUSAL,
    },
}
