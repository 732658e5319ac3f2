"""OCSF: rows in the Open Cybersecurity Schema Framework, for systems that gather security events.

The classes are Authentication 3002, Account Change 3001, Entity Management 3004 and, for all that
is none of these, API Activity 6003, each as version 1.3.0 of the schema has it.
"""

from datetime import datetime
from typing import Any

from mainstay_server.areas.audit.schemas import Row

from .reading import Found

SCHEMA_VERSION = "1.3.0"
PRODUCT = {"name": "Mainstay", "vendor_name": "Mainstay"}
ACCOUNT_CHANGE, AUTHENTICATION, ENTITY_MANAGEMENT, API_ACTIVITY = 3001, 3002, 3004, 6003
OTHER = 99
INFORMATIONAL, LOW = 1, 2
SUCCESS, FAILURE = 1, 2

_AUTHENTICATION = {"signed_in": 1, "sign_in_refused": 1, "signed_out": 2, "sessions_ended": 2}
_ACCOUNT = {"joined": 1, "password_changed": 3, "removed": 6}
_ENTITY = {
    **dict.fromkeys(("created", "opened_by_hand"), 1),
    **dict.fromkeys(
        ("changed", "renamed", "enabled", "disabled", "rotated", "decided", "resolved_by_hand"), 3
    ),
    **dict.fromkeys(("removed", "revoked", "trimmed"), 4),
}
_API = {"exported": 2}


def event_of(found: Found) -> dict[str, Any]:
    """One row as an OCSF event; `metadata.sequence` is its position, to go on from."""
    row = found.row
    class_uid, activity = classified(row.action)
    failed = row.outcome == "failure"
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        **({"activity_name": row.action} if activity == OTHER else {}),
        "type_uid": class_uid * 100 + activity,
        "time": round(datetime.fromisoformat(row.at).timestamp() * 1000),
        "severity_id": LOW if failed else INFORMATIONAL,
        "status_id": FAILURE if failed else SUCCESS,
        "message": f"{row.action} {row.target.name}".strip(),
        "metadata": {
            "version": SCHEMA_VERSION,
            "product": PRODUCT,
            "uid": row.id,
            "sequence": row.position,
            "event_code": row.action,
            "log_name": "audit",
            "tenant_uid": row.organization_id,
        },
        "actor": _actor(row),
        "src_endpoint": {"ip": row.address} if row.address else {"name": "mainstay"},
        **_about(row, class_uid),
        "unmapped": {
            "changes": row.changes,
            "details": row.details,
            "project": row.project.slug if row.project else None,
            "environment": row.instance.environment if row.instance else None,
            "hash": found.hash,
        },
    }


def classified(action: str) -> tuple[int, int]:
    """The class and the activity of an action."""
    noun, _, what = action.partition(".")
    if noun == "person" and what in _AUTHENTICATION:
        return AUTHENTICATION, _AUTHENTICATION[what]
    if noun == "person":
        return ACCOUNT_CHANGE, _ACCOUNT.get(what, OTHER)
    if what in _ENTITY:
        return ENTITY_MANAGEMENT, _ENTITY[what]
    return API_ACTIVITY, _API.get(what, OTHER)


def _actor(row: Row) -> dict[str, Any]:
    if row.actor.kind in ("person", "token"):
        return {
            "user": {
                "uid": row.actor.id,
                "name": row.actor.name,
                "email_addr": row.actor.email,
                "type": row.actor.kind,
            }
        }
    return {"app_name": "mainstay" if row.actor.kind == "system" else row.actor.kind}


def _about(row: Row, class_uid: int) -> dict[str, Any]:
    """What each class asks for beside the base: whom, what, or by which call."""
    target = {"uid": row.target.id, "name": row.target.name, "type": row.target.kind}
    if class_uid == AUTHENTICATION:
        reason = row.details.get("reason")
        return {
            "user": {"uid": row.target.id, "name": row.target.name, "email_addr": row.target.name},
            "service": {"name": "mainstay"},
            "is_remote": True,
            **({"status_detail": reason} if reason else {}),
        }
    if class_uid == ACCOUNT_CHANGE:
        return {
            "user": {"uid": row.target.id, "name": row.target.name, "email_addr": row.target.name}
        }
    if class_uid == ENTITY_MANAGEMENT:
        return {"entity": target}
    return {"api": {"operation": row.action}, "resources": [target]}
