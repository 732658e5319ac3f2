"""Healthchecks: what its management API (v3) tells of checks; ping URLs keep their ids."""

import re
from collections.abc import Mapping
from typing import Any

from .drafts import Draft, Secret, Unreadable, mapping

Check = Mapping[str, Any]

CRON_FIELDS = 5
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_healthchecks(answer: object, *, environment: str) -> Draft:
    """What `GET /api/v3/checks/` answered, as a document. Raises `Unreadable`."""
    checks = mapping(answer).get("checks")
    if not isinstance(checks, list):
        raise Unreadable("This is no answer of Healthchecks' API; give the server's own address.")
    draft = Draft(environment)
    for check in map(mapping, checks):
        _add_check(draft, check)
    if any(_id_of(check) for check in map(mapping, checks)):
        draft.note("jobs", "keep their ping URLs: only the host is another, the UUID stays")
    if any(str(check.get("channels") or "") for check in map(mapping, checks)):
        draft.note("integrations", "the API tells no targets; add alertChannels for who is told")
    draft.note("slugs", "with slug URLs also the ping key is another: the page Heartbeats tells it")
    draft.note("history", "pings and flips stay in Healthchecks")
    return draft


def _add_check(draft: Draft, check: Check) -> None:
    name = str(check.get("name") or "") or f"check {str(_id_of(check) or '')[:8]}"
    id_ = _id_of(check)
    if not id_:
        draft.note(f"check {name}", "the key may not read its UUID: use one that may write")
    draft.add(
        "heartbeats",
        name,
        {
            "slug": _slug(check) or None,
            "pingId": Secret(id_) if id_ else None,
            "tags": [tag[:40] for tag in str(check.get("tags") or "").split()][:20] or None,
            "description": str(check.get("desc") or "")[:2_000] or None,
            **_schedule(check),
            "graceSeconds": int(check.get("grace") or 3_600),
            "methods": check.get("methods") or None,
            "manualResume": True if check.get("manual_resume") else None,
            "paused": True if check.get("status") == "paused" else None,
            **_filters(check),
        },
    )


def _schedule(check: Check) -> dict[str, Any]:
    expression = str(check.get("schedule") or "")
    if not expression:
        return {"periodSeconds": int(check.get("timeout") or 86_400)}
    fields = expression.split()
    cron = len(fields) == CRON_FIELDS and "-" not in fields[0].strip("0123456789,-*/")
    return {
        "scheduleKind": "cron" if cron and ":" not in expression else "oncalendar",
        "expression": expression,
        "timeZone": check.get("tz") or "UTC",
    }


def _filters(check: Check) -> dict[str, Any]:
    names = {
        "filter_subject": "filterSubject",
        "filter_body": "filterBody",
        "filter_http_body": "filterHttpBody",
        "filter_default_fail": "filterDefaultFail",
        "start_kw": "startWords",
        "success_kw": "successWords",
        "failure_kw": "failureWords",
    }
    return {ours: check.get(theirs) or None for theirs, ours in names.items()}


def _slug(check: Check) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", str(check.get("slug") or "").lower())[:100]


def _id_of(check: Check) -> str:
    """The UUID of a check; a key that only reads is told none."""
    for text in (str(check.get("uuid") or ""), str(check.get("ping_url") or "").rpartition("/")[2]):
        if UUID_FORM.fullmatch(text.lower()):
            return text.lower()
    return ""
