"""The words of the door of Alertmanager's clients in OpenAPI, since no framework knows of it."""

from typing import Any

Json = dict[str, Any]

TAG = "Alerts"
BASE = "/alertmanager/{slug}"
AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
LABELS = {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"}
MATCHER = {"name": "alertname", "value": "DiskFull", "isRegex": False, "isEqual": True}
SILENCE = {
    "matchers": [MATCHER],
    "startsAt": "2026-03-01T12:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "alice",
    "comment": "Moving the disk",
}
GIVEN_SILENCE = {
    **SILENCE,
    "endsAt": "2026-03-01T14:00:00.000Z",
    "startsAt": "2026-03-01T12:00:00.000Z",
    "id": AN_ID,
    "status": {"state": "active"},
    "updatedAt": "2026-03-01T12:00:00.000Z",
}
POSTED = {
    "labels": LABELS,
    "annotations": {"summary": "The disk of db-1 is full"},
    "generatorURL": "http://prometheus.example/graph?g0.expr=up",
}
GIVEN = {
    **POSTED,
    "fingerprint": "b2fb4f3e0e0d0a1c",
    "startsAt": "2026-03-01T12:00:00.000Z",
    "endsAt": "2026-03-01T12:04:00.000Z",
    "updatedAt": "2026-03-01T12:00:00.000Z",
    "receivers": [{"name": "mainstay"}],
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
}
GROUP = {
    "labels": {"alertname": "DiskFull"},
    "receiver": {"name": "mainstay"},
    "alerts": [GIVEN],
}
STATUS = {
    "cluster": {"status": "disabled", "peers": []},
    "config": {"original": "route:\n  receiver: mainstay\n"},
    "uptime": "2026-03-01T12:00:00.000Z",
    "versionInfo": {
        "branch": "mainstay",
        "buildDate": "",
        "buildUser": "",
        "goVersion": "",
        "revision": "project inspections",
        "version": "0.25.0",
    },
}
WEBHOOK = {
    "version": "4",
    "groupKey": '{}:{alertname="DiskFull"}',
    "receiver": "mainstay",
    "status": "firing",
    "alerts": [{"status": "firing", **POSTED}],
}
TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
TIME: Json = {"type": "string", "format": "date-time"}
NULLABLE_TIME: Json = {"anyOf": [TIME, {"type": "null"}]}
ALERT_BODY: Json = {
    "type": "object",
    "required": ["labels"],
    "properties": {
        "labels": {**TEXTS, "minProperties": 1, "maxProperties": 100},
        "annotations": {**TEXTS, "maxProperties": 100},
        "startsAt": NULLABLE_TIME,
        "endsAt": NULLABLE_TIME,
        "generatorURL": {"type": "string", "maxLength": 2000},
    },
}
MATCHER_BODY: Json = {
    "type": "object",
    "required": ["name", "value", "isRegex"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "value": {"type": "string"},
        "isRegex": {"type": "boolean"},
        "isEqual": {"type": "boolean", "default": True},
    },
}
SILENCE_BODY: Json = {
    "type": "object",
    "required": ["matchers", "startsAt", "endsAt", "createdBy", "comment"],
    "properties": {
        "id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "matchers": {"type": "array", "items": MATCHER_BODY, "minItems": 1, "maxItems": 100},
        "startsAt": TIME,
        "endsAt": TIME,
        "createdBy": {"type": "string", "minLength": 1},
        "comment": {"type": "string", "minLength": 1, "maxLength": 1000},
    },
}
SLUG: Json = {
    "in": "path",
    "name": "slug",
    "required": True,
    "description": "The slug of the project.",
    "schema": {"type": "string", "examples": ["inspections"]},
}
SILENCE_ID: Json = {
    "in": "path",
    "name": "silenceId",
    "required": True,
    "description": "The id of the silence.",
    "schema": {"type": "string", "examples": [AN_ID]},
}
REFUSED: Json = {
    "description": "Refused; a text in JSON says why and what to do",
    "content": {
        "application/json": {
            "schema": {"type": "string"},
            "example": "alert 0: at least one label pair required",
        }
    },
}
FILTER: Json = {
    "in": "query",
    "name": "filter",
    "description": "Matchers that all have to hold; may be given several times.",
    "schema": {"type": "array", "items": {"type": "string"}, "examples": [['severity="critical"']]},
}


def _flag(name: str, description: str) -> Json:
    schema = {"type": "boolean", "default": True}
    return {"in": "query", "name": name, "description": description, "schema": schema}


CHOICES = [
    _flag("active", "Those that are told."),
    _flag("silenced", "Those that a silence holds."),
    _flag("inhibited", "Taken as Alertmanager's clients send it; changes nothing."),
    _flag("unprocessed", "Taken as Alertmanager's clients send it; changes nothing."),
    FILTER,
    {
        "in": "query",
        "name": "receiver",
        "description": "A regular expression for the whole name of a receiver.",
        "schema": {"type": "string", "examples": ["mainstay"]},
    },
]


def _operation(  # noqa: PLR0913 - what an operation consists of
    name: str,
    summary: str,
    about: str,
    *,
    answers: object = None,
    schema: Json | None = None,
    takes: tuple[Json, object] | None = None,
    parameters: tuple[Json, ...] = (),
    sends: bool = False,
) -> Json:
    ok: Json = {"description": "Done"}
    if answers is not None:
        kind: Json = {"type": "object"}
        if isinstance(answers, list):
            kind = {"type": "array", "items": kind}
        ok["content"] = {"application/json": {"schema": schema or kind, "example": answers}}
    scope = "project:write" if takes or answers is None else "project:read"
    operation: Json = {
        "tags": [TAG],
        "summary": summary,
        "description": about,
        "operationId": name,
        "security": [{"accessToken": [scope]}, *([{"ingestKey": []}] if sends else [])],
        "parameters": [SLUG, *parameters],
        "responses": {"200": ok, "4XX": REFUSED, "503": REFUSED},
    }
    if takes is not None:
        content = {"application/json": {"schema": takes[0], "example": takes[1]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


FORMS: dict[str, dict[str, Json]] = {
    f"{BASE}/api/v2/status": {
        "get": _operation(
            "amStatus", "Status, as Alertmanager", "What its clients ask first.", answers=STATUS
        )
    },
    f"{BASE}/api/v2/receivers": {
        "get": _operation(
            "amReceivers",
            "Receivers, as Alertmanager",
            "The names of the project's channels that are on.",
            answers=[{"name": "mainstay"}],
        )
    },
    f"{BASE}/api/v2/alerts": {
        "get": _operation(
            "amAlerts",
            "Active alerts, as Alertmanager",
            "All active alerts of a project, also those of Mainstay's own rules; at most 10,000.",
            answers=[GIVEN],
            parameters=tuple(CHOICES),
        ),
        "post": _operation(
            "amSendAlerts",
            "Send alerts, as to Alertmanager",
            "Alerts as Prometheus sends them. One is known by its labels; sent again it lasts"
            " longer, and it ends when its end has passed: without `endsAt` five minutes after it"
            " was sent last. An ingest key of the project is enough. At most 10,000 and 8 MiB.",
            takes=({"type": "array", "items": ALERT_BODY, "maxItems": 10_000}, [POSTED]),
            sends=True,
        ),
    },
    f"{BASE}/api/v2/alerts/groups": {
        "get": _operation(
            "amGroups",
            "Groups of alerts, as Alertmanager",
            "The active alerts by receiver and name.",
            answers=[GROUP],
            parameters=tuple(CHOICES),
        )
    },
    f"{BASE}/api/v2/silences": {
        "get": _operation(
            "amSilences",
            "Silences, as Alertmanager",
            "The silences that reach the project, but for those that ended five days ago.",
            answers=[GIVEN_SILENCE],
            parameters=(FILTER,),
        ),
        "post": _operation(
            "amPutSilence",
            "Make or change a silence, as in Alertmanager",
            "With the id of one that lasts, its end and words are changed; if its matchers differ,"
            " it ends and another one takes its place.",
            answers={"silenceID": AN_ID},
            takes=(SILENCE_BODY, SILENCE),
        ),
    },
    f"{BASE}/api/v2/silence/{{silenceId}}": {
        "get": _operation(
            "amSilence",
            "One silence, as Alertmanager",
            "One silence that reaches the project.",
            answers=GIVEN_SILENCE,
            parameters=(SILENCE_ID,),
        ),
        "delete": _operation(
            "amExpireSilence",
            "Expire a silence, as in Alertmanager",
            "End it now; one that has ended stays as it is.",
            parameters=(SILENCE_ID,),
        ),
    },
    f"{BASE}/webhook": {
        "post": _operation(
            "amWebhook",
            "Take what Alertmanager tells a webhook",
            "For those who keep their Alertmanager: the body of its webhook, version 4. An alert"
            " ends when it is told to be resolved, or a week after it was told last.",
            takes=(
                {
                    "type": "object",
                    "required": ["version", "alerts"],
                    "properties": {
                        "version": {"const": "4"},
                        "alerts": {"type": "array", "items": ALERT_BODY, "maxItems": 10_000},
                    },
                },
                WEBHOOK,
            ),
            sends=True,
        )
    },
}
