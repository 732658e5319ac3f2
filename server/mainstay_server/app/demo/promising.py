"""What the sample app promises, and when somebody works on it."""

from .api import Api

OBJECTIVES = (
    {"name": "Requests succeed", "source": "requests", "targetPercent": 99.0},
    {
        "name": "Requests within 300 ms",
        "source": "requests",
        "kind": "latency",
        "thresholdMs": 300,
        "targetPercent": 95.0,
    },
)
MAINTENANCE = {
    "name": "Patch night",
    "description": "The database gets its updates; the app may not answer for a minute.",
    "schedule": "0 2 * * SUN#1",
    "timeZone": "Europe/Berlin",
    "durationMinutes": 120,
    "announceMinutes": 1440,
}


def promise(api: Api, *, project: str, environment: str) -> None:
    """Set the objectives and plan the maintenance, once."""
    base = f"/api/projects/{project}"
    if not api.call("GET", f"{base}/objectives")["objectives"]:
        for objective in OBJECTIVES:
            api.call("POST", f"{base}/objectives", {**objective, "environment": environment})
    if not api.call("GET", f"{base}/maintenance")["maintenance"]:
        api.call("POST", f"{base}/maintenance", MAINTENANCE)
