"""One of each thing that responds: rules, routes, on call, incidents, remedies and mail."""

from tests.journeys.running import PROJECT, Mainstay
from tests.journeys.watched_things import LATER, Made
from tests.waiting import eventually

HERE = f"/api/projects/{PROJECT}"


def make_what_responds(
    mainstay: Mainstay, made: Made, known: dict[str, str], *, person_id: str
) -> dict[str, str]:
    """The ids of what was made, by the names that paths have for them."""
    limit = {
        "name": "Her limit",
        "measure": "requests.p95_ms",
        "levels": [{"severity": "warning", "threshold": 800}],
    }
    heard = {"name": "Her ears", "action": "backup_target.removed"}
    route = {"name": "Her route", "channelIds": [known["channelId"]], "matchers": "team=hers"}
    mutes = {"name": "Her quiet", "source": "severity=critical", "target": "severity=info"}
    remedy = {
        "name": "her-remedy",
        "kind": "webhook",
        "url": "http://127.0.0.1:9/restart",
        "matchers": "team=hers",
    }
    return {
        "measureRuleId": made(f"{HERE}/measure-rules", limit)["id"],
        "eventRuleId": made(f"{HERE}/event-rules", heard)["id"],
        "runbookId": made(f"{HERE}/runbooks", {"name": "Her runbook", "body": "Look."})["id"],
        "routeId": made(f"{HERE}/alert-routes", route)["id"],
        "inhibitionId": made(f"{HERE}/alert-inhibitions", mutes)["id"],
        "actionId": made(f"{HERE}/remediation-actions", remedy)["id"],
        **_an_incident(made),
        **_mail(mainstay, made),
        **_on_call(mainstay, made, known, person_id=person_id),
    }


def _an_incident(made: Made) -> dict[str, str]:
    incident = made(f"{HERE}/incidents", {"title": "Her incident"})
    note = made(f"{HERE}/incidents/{incident['id']}/notes", {"body": "It began with a deploy."})
    return {"incidentId": incident["id"], "noteId": note["id"], "role": "commander"}


def _mail(mainstay: Mainstay, made: Made) -> dict[str, str]:
    template = {"subject": "Her template", "html": "<p>Hello</p>"}
    assert mainstay.call("PUT", "/api/email-templates/her-template", json=template).is_success
    letter = {"to": "reader@ships.example", "subject": "Hello", "text": "Hello", "project": PROJECT}
    sent = made("/api/emails", letter)["emails"][0]
    held = made("/api/email-suppressions", {"address": "no@ships.example"})
    return {"name": "her-template", "emailId": sent["id"], "suppressionId": held["id"]}


def _on_call(
    mainstay: Mainstay, made: Made, known: dict[str, str], *, person_id: str
) -> dict[str, str]:
    schedule = made("/api/on-call/schedules", {"name": "Her schedule", "timeZone": "UTC"})
    path = f"/api/on-call/schedules/{schedule['id']}"
    policy = {
        "name": "Her policy",
        "minimumSeverity": "critical",
        "steps": [{"kind": "person", "personId": person_id, "waitMinutes": 60}],
    }
    ids = {
        "scheduleId": schedule["id"],
        "overrideId": made(f"{path}/overrides", {"personId": person_id, **LATER})["id"],
        "calendarId": made(f"{path}/calendars", {"name": "Hers", "text": CALENDAR})["id"],
        "policyId": made("/api/escalation-policies", policy)["id"],
    }
    outage = {"type": "instance_down", "severity": "critical", "title": "Her outage"}
    made(f"/api/instances/{known['instanceId']}/alerts", outage)
    begun = eventually(lambda: mainstay.get("/api/escalations")["escalations"])
    return {**ids, "escalationId": begun[0]["id"]}


CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//hers//EN
BEGIN:VEVENT
UID:1@hers
DTSTART:20990101T080000Z
DTEND:20990101T160000Z
SUMMARY:nobody
END:VEVENT
END:VCALENDAR
"""
