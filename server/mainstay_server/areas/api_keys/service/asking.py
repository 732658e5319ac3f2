"""What an instance asks of the bearers of keys: which paths need one, and which scopes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import (
    DEFAULT_MOST_PER_OWNER,
    DEFAULT_ROTATE_AFTER_DAYS,
    ApiKeySettings,
)
from mainstay_server.areas.api_keys.schemas import ApiKeySettingsBody, ScopeRule
from mainstay_server.contracts.api_keys import ApiKeySettingsChanged
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.subjects import InstanceRef

from . import fields

DEFAULTS: Mapping[str, Any] = {
    "required": [],
    "public": [],
    "scopes": [],
    "most_per_owner": DEFAULT_MOST_PER_OWNER,
    "rotate_after_days": DEFAULT_ROTATE_AFTER_DAYS,
}


def find_settings(session: Session, instance_id: str) -> ApiKeySettings:
    """What holds for an instance: its own settings, or the defaults, which nobody stored."""
    found = session.get(ApiKeySettings, instance_id)
    return found if found is not None else ApiKeySettings(instance_id=instance_id, **DEFAULTS)


def change_settings(
    session: Session, instance: InstanceRef, wanted: ApiKeySettingsBody, *, now: datetime
) -> ApiKeySettings:
    """Put other settings in place of those that held; every guard follows within a second.

    Raises `Invalid` for a path, method or scope that is none.
    """
    clean = {
        "required": fields.clean_paths(wanted.required, field="required"),
        "public": fields.clean_paths(wanted.public, field="public"),
        "scopes": [_clean_rule(rule) for rule in wanted.scopes],
        "most_per_owner": wanted.most_per_owner,
        "rotate_after_days": wanted.rotate_after_days,
    }
    new = insert(ApiKeySettings).values(instance_id=instance.id, changed_at=now, **DEFAULTS)
    session.execute(new.on_conflict_do_nothing())
    row = session.get_one(ApiKeySettings, instance.id, with_for_update=True)
    before = _as_told(row)
    for name, value in clean.items():
        setattr(row, name, value)
    row.changed_at = now
    session.flush()
    changes = changes_between(before, _as_told(row))
    if changes:
        said = ApiKeySettingsChanged(
            **instance.ids, environment=instance.environment, changes=changes
        )
        say(session, said, now=now)
        touch_policies(session, [instance.id])
    return row


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """A rule as people write it: methods, paths, scopes; each word shows which it is."""
    return " ".join([*rule["methods"], *rule["paths"], *rule["scopes"]])


def _clean_rule(rule: ScopeRule) -> dict[str, Any]:
    return {
        "methods": fields.clean_methods(rule.methods, field="scopes.methods"),
        "paths": fields.clean_paths(rule.paths, field="scopes.paths"),
        "scopes": fields.clean_scopes(rule.scopes, field="scopes.scopes"),
    }


def _as_told(row: ApiKeySettings) -> dict[str, Any]:
    return {
        "required": row.required,
        "public": row.public,
        "scopes": [rule_in_words(rule) for rule in row.scopes],
        "most_per_owner": row.most_per_owner,
        "rotate_after_days": row.rotate_after_days,
    }
