"""One of each thing that is watched, planned, promised and told of, for those who attack it."""

from collections.abc import Callable
from typing import Any

from tests.journeys.running import PROJECT, Mainstay

Made = Callable[[str, dict[str, Any]], dict[str, Any]]
LATER = {"startsAt": "2099-01-01T02:00:00Z", "endsAt": "2099-01-01T03:00:00Z"}
PAGE = "/api/status-pages"


def make_what_is_watched(mainstay: Mainstay, made: Made, instance: str) -> dict[str, str]:
    """A heartbeat that reported, a plan with its window, an objective, a page, a probe: their ids.

    `made` is what a POST of their owner makes. What is told once is given as "told:probe".
    """
    heartbeat = made(f"{instance}/heartbeats", {"name": "Nightly backup"})
    uuid = heartbeat["pingUrl"].rpartition("/")[2]
    assert mainstay.ask("POST", f"/ping/{uuid}", content=b"3.2 GB").is_success
    key = made(f"{instance}/heartbeat-keys", {"kind": "write", "name": "deploy"})
    return {
        "heartbeatId": heartbeat["id"],
        "pingNumber": "1",
        "heartbeatKeyId": key["id"],
        "told:heartbeat key": key["key"],
        **make_what_is_planned(mainstay, made),
        **_a_status_page(mainstay, made),
    }


def make_what_is_planned(mainstay: Mainstay, made: Made) -> dict[str, str]:
    """Maintenance with its next window, an objective, a probe elsewhere, and a silence."""
    project = f"/api/projects/{PROJECT}"
    night = {"name": "Patch night", "schedule": "0 2 * * SUN#1", "durationMinutes": 60}
    plan = made(f"{project}/maintenance", night)
    windows = mainstay.get(f"{project}/maintenance-windows")["windows"]
    promise = {
        "name": "Requests succeed",
        "source": "requests",
        "environment": "production",
        "targetPercent": 99.9,
    }
    objective = made(f"{project}/objectives", promise)
    probe = made("/api/probes", {"name": "fra-1", "location": "Frankfurt"})
    quiet = {"matchers": "team=night", "endsAt": LATER["endsAt"], "comment": "Asleep"}
    silence = made(f"{project}/alert-silences", quiet)
    return {
        "maintenanceId": plan["id"],
        "windowId": windows[0]["id"],
        "objectiveId": objective["id"],
        "probeId": probe["id"],
        "told:probe": probe["token"],
        "silenceId": silence["id"],
    }


def _a_status_page(mainstay: Mainstay, made: Made) -> dict[str, str]:
    """A public page with one of everything that may be on it, and with a subscriber."""
    page = made(PAGE, {"name": "Hers", "slug": "her-status"})
    here = f"{PAGE}/{page['id']}"
    changed = mainstay.call("PATCH", here, json={"published": True, "takesWebhooks": True})
    assert changed.is_success, changed.text
    form = {"webhook": "https://readers.example/hook"}
    signed_up = mainstay.ask("POST", f"/status/{page['slug']}/subscribe", data=form)
    assert signed_up.is_success, signed_up.text
    ids = {
        "pageId": str(page["id"]),
        "subscriberId": str(mainstay.get(f"{here}/subscribers")["subscribers"][0]["id"]),
    }
    for name, path, body in (
        ("componentId", "components", {"name": "API"}),
        ("groupId", "groups", {"name": "Shop"}),
        ("reportId", "reports", {"title": "Slow answers"}),
        ("announcementId", "maintenances", {"title": "Disks", **LATER}),
    ):
        ids[name] = str(made(f"{here}/{path}", body)["id"])
    return ids
