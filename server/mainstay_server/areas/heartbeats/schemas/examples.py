"""The examples of our own API."""

from typing import Any

Json = dict[str, Any]

INSTANCE_ID = "0193a0c2-7e57-7000-8000-000000000002"
HEARTBEAT: Json = {
    "id": "0193a0c2-7e57-7000-8000-000000000001",
    "instanceId": INSTANCE_ID,
    "name": "Nightly backup",
    "slug": "nightly-backup",
    "tags": ["backup", "db"],
    "description": "Dumps the database to the other site.",
    "pingUrl": "https://mainstay.example/ping/6d2b8c4e-4f0a-4f6e-9a57-1f0f6f1f2a55",
    "scheduleKind": "cron",
    "periodSeconds": 86400,
    "expression": "0 3 * * *",
    "timeZone": "Europe/Berlin",
    "graceSeconds": 600,
    "earlySeconds": 0,
    "startGraceSeconds": 300,
    "minDurationSeconds": 5,
    "maxDurationSeconds": 3600,
    "mostReports": 5,
    "mostReportsSeconds": 3600,
    "failAfter": 1,
    "recoverAfter": 1,
    "tellAfterSeconds": 0,
    "manualResume": False,
    "methods": "",
    "filterSubject": False,
    "filterBody": False,
    "filterHttpBody": False,
    "filterDefaultFail": False,
    "startWords": "",
    "successWords": "",
    "failureWords": "",
    "state": "healthy",
    "late": False,
    "running": False,
    "stateSince": "2026-11-02T02:00:41.120Z",
    "stateReason": "",
    "pingsCount": 46,
    "lastPingAt": "2026-11-25T02:00:39.871Z",
    "lastDurationMs": 38250,
    "dueAt": "2026-11-26T02:00:00.000Z",
    "alertAt": "2026-11-26T02:10:00.000Z",
}
PING: Json = {
    "number": 46,
    "at": "2026-11-25T02:00:39.871Z",
    "signal": "success",
    "scheme": "https",
    "method": "POST",
    "address": "192.0.2.17",
    "client": "curl/8.5.0",
    "runId": "728b3763-fa75-4ee2-a4a0-4a6f3b6f5d5b",
    "exitStatus": 0,
    "durationMs": 38250,
    "bodyBytes": 412,
}
UPTIME: Json = {
    "heartbeatId": HEARTBEAT["id"],
    "from": "2026-10-26T09:42:00.000Z",
    "to": "2026-11-25T09:42:00.000Z",
    "uptime": 99.81,
    "coverage": 100.0,
    "spells": [
        {
            "state": "unhealthy",
            "startedAt": "2026-11-02T02:10:00.000Z",
            "endedAt": "2026-11-02T03:32:05.000Z",
            "ongoing": False,
            "reason": "no report: it was due at 2026-11-02 02:00:00 UTC, and 10 min of grace"
            " passed",
        }
    ],
}
PREVIEW: Json = {
    "turns": ["2026-11-26T02:00:00.000Z", "2026-11-27T02:00:00.000Z"],
    "local": ["Thu 2026-11-26 03:00:00 CET", "Fri 2026-11-27 03:00:00 CET"],
}
KEY: Json = {
    "id": "0193a0c2-7e57-7000-8000-000000000003",
    "kind": "ping",
    "name": "production",
    "wholeProject": False,
    "key": "fqOOd6-F4MMNuCEnzTU01w",
    "createdAt": "2026-11-02T01:58:00.000Z",
    "lastUsedAt": "2026-11-25T02:00:39.871Z",
}
