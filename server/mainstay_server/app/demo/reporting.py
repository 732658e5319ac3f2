"""What jobs of the sample app report: a nightly export, a worker, a weekly report."""

import urllib.request
from typing import Any
from uuid import uuid4

from .api import ANSWER_SECONDS, Api

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Nightly export",
        "tags": ["export"],
        "scheduleKind": "cron",
        "expression": "0 3 * * *",
        "timeZone": "Europe/Berlin",
        "maxDurationSeconds": 3600,
    },
    {"name": "Clean up drafts", "periodSeconds": 86_400, "graceSeconds": 3_600},
    {
        "name": "Weekly report",
        "tags": ["mail"],
        "scheduleKind": "oncalendar",
        "expression": "Mon 07:00",
        "timeZone": "America/New_York",
    },
)
SAID = b"214 inspections written in 0.4 s"


def report(api: Api, *, instance_id: str) -> None:
    """Make the heartbeats of the jobs, once, and let each report as a crontab with curl would."""
    path = f"/api/instances/{instance_id}/heartbeats"
    if api.call("GET", path)["heartbeats"]:
        return
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for job in JOBS:
        url, run = api.call("POST", path, job)["pingUrl"], uuid4()
        for word, body in (("/start", b""), ("", SAID)):
            opener.open(f"{url}{word}?rid={run}", body, ANSWER_SECONDS).close()
