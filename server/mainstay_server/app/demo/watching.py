"""What else of the sample app is watched, what is promised of that, and the page that shows it."""

from collections.abc import Sequence
from typing import Any

from .api import Api

NAME = "Inspections"
PROMISED_PERCENT = 99.9
PORT_CHECK = "port"
EVERY_SECONDS = 20
SLOW_MS = 2_000

INSPECTION: tuple[dict[str, Any], ...] = (
    {
        "name": "write it down",
        "method": "POST",
        "url": "{{app}}/inspections",
        "headers": {"X-API-Key": "{{key}}", "Content-Type": "application/json"},
        "body": '{"site_id": 1, "vehicle": "HH-MS 1", "grade": "A"}',
        "conditions": ["[STATUS] == 201", "[BODY].grade == A"],
        "extract": [{"variable": "inspection", "expression": "$.id"}],
    },
    {
        "name": "read it again",
        "url": "{{app}}/inspections/{{inspection}}",
        "headers": {"X-API-Key": "{{key}}"},
        "conditions": ["[STATUS] == 200", "[BODY].vehicle == HH-MS 1"],
    },
    {
        "name": "print its certificate",
        "url": "{{app}}/inspections/{{inspection}}/certificate",
        "headers": {"X-API-Key": "{{key}}"},
        "conditions": ["[STATUS] == 200"],
    },
)


def watch(api: Api, *, instance_id: str, url: str, key: str) -> None:
    """Have its port, a list and a whole inspection asked as well, where it runs this time."""
    path = f"/api/instances/{instance_id}/health-checks"
    there = {each["name"]: each["id"] for each in api.call("GET", path)["healthChecks"]}
    parent = there.get(PORT_CHECK)
    for check in _checks(url, key):
        if check["name"] in there:
            where: dict[str, Any] = {it: check[it] for it in ("url", "config") if it in check}
            api.call("PATCH", f"{path}/{there[check['name']]}", where)
            continue
        made = api.call("POST", path, check if parent is None else {**check, "parentId": parent})
        if check["name"] == PORT_CHECK:
            parent = made["id"]


def show(api: Api, *, project: str, environment: str, instance_id: str) -> None:
    """Promise something of the app's health check and publish a status page, each once."""
    base = f"/api/instances/{instance_id}"
    checks = api.call("GET", f"{base}/health-checks")["healthChecks"]
    health = next(each["id"] for each in checks if each["followsInstance"])
    _promise(api, project=project, environment=environment, health_check_id=health)
    if api.call("GET", "/api/status-pages")["statusPages"]:
        return
    made = api.call("POST", "/api/status-pages", {"name": NAME})
    page = f"/api/status-pages/{made['id']}"
    asked = {each["name"]: each["id"] for each in checks}
    jobs = {
        each["name"]: each["id"] for each in api.call("GET", f"{base}/heartbeats")["heartbeats"]
    }
    groups: Sequence[tuple[str, dict[str, str | None]]] = (
        ("For inspectors", {"App": health, "A whole inspection": asked.get("an inspection")}),
        ("Behind it", {"List of inspections": asked.get("list")}),
        ("Jobs", {"Nightly export": jobs.get("Nightly export")}),
    )
    for group, components in groups:
        group_id = api.call("POST", f"{page}/groups", {"name": group})["id"]
        for name, subject_id in components.items():
            if subject_id is not None:
                bound = {"name": name, "groupId": group_id, "subjectId": subject_id}
                api.call("POST", f"{page}/components", bound)
    api.call("PATCH", page, {"published": True})


def _checks(url: str, key: str) -> Sequence[dict[str, Any]]:
    host, _, port = url.removeprefix("http://").partition(":")
    often = {"intervalSeconds": EVERY_SECONDS, "timeoutSeconds": 15, "degradedAfterMs": 10_000}
    return (
        {
            "kind": "tcp",
            "name": PORT_CHECK,
            "config": {"host": host, "port": int(port)},
            "tags": ["edge"],
            **often,
        },
        {
            "name": "list",
            "url": f"{url}/inspections?limit=5",
            "config": {"headers": {"X-API-Key": "{{key}}"}, "secrets": {"key": key}},
            "conditions": ["[STATUS] == 200", f"[RESPONSE_TIME] < {SLOW_MS} or degraded"],
            "tags": ["api"],
            **often,
        },
        {
            "kind": "steps",
            "name": "an inspection",
            "config": {
                "variables": {"app": url},
                "secrets": {"key": key},
                "steps": list(INSPECTION),
            },
            "tags": ["api"],
            **often,
        },
    )


def _promise(api: Api, *, project: str, environment: str, health_check_id: str) -> None:
    path = f"/api/projects/{project}/objectives"
    wanted = {"name": "It is up", "source": "watched", "subjectId": health_check_id}
    if not any(each["name"] == wanted["name"] for each in api.call("GET", path)["objectives"]):
        made = {**wanted, "environment": environment, "targetPercent": PROMISED_PERCENT}
        api.call("POST", path, made)
