"""Actions: what somebody allowed to be done by itself, and for which alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.remediation.models import ActionKind, RemediationAction
from mainstay_server.areas.remediation.schemas import ActionBody
from mainstay_server.contracts.health_checks import probes_of
from mainstay_server.contracts.remediation import (
    RemediationActionChanged,
    RemediationActionCreated,
    RemediationActionRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.matchers import parse_matchers, written
from mainstay_server.kernel.posting import checked_url, masked_url
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.standard_webhooks import is_well_formed, new_secret
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef

MOST_ACTIONS = 50
FACTS = (
    "name",
    "matchers",
    "automatic",
    "enabled",
    "dry_run",
    "most_tries",
    "pause_seconds",
    "verify_seconds",
    "cooldown_seconds",
)


def allow_action(
    session: Session, project: ProjectRef, wanted: ActionBody, *, secret: str = "", now: datetime
) -> RemediationAction:
    """Allow an action; a webhook gets the secret that signs it, if it is not given one.

    Raises:
        Conflict: the project has 50, or one of that name.
        Invalid: its URL, its probe, its matchers or its secret are none.
    """
    session.get_one(Project, project.id, with_for_update=True)  # one at a time, or two go in
    present = list_actions(session, project.id)
    if len(present) >= MOST_ACTIONS:
        raise Conflict(f"A project has at most {MOST_ACTIONS} actions; remove one.")
    if any(each.name == wanted.name for each in present):
        raise Conflict(f"There is an action {wanted.name} already; name this one otherwise.")
    action = RemediationAction(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        kind=wanted.kind,
        secret=(_secret(secret) or new_secret()) if wanted.kind is ActionKind.WEBHOOK else "",
        created_at=now,
    )
    _apply(session, action, wanted)
    session.add(action)
    session.flush()
    made = changes_between({}, _facts(action))
    say(session, RemediationActionCreated(**_about(action), changes=made), now=now)
    return action


def change_action(
    session: Session,
    action: RemediationAction,
    wanted: ActionBody,
    *,
    secret: str = "",
    now: datetime,
) -> None:
    """Allow it otherwise from now on; its kind stays, and its secret unless another is given.

    Raises as `allow_action`.
    """
    if wanted.kind != action.kind:
        raise Invalid("The kind of an action stays; remove it and allow another one.")
    named = [a for a in list_actions(session, action.project_id) if a.name == wanted.name]
    if any(each.id != action.id for each in named):
        raise Conflict(f"There is an action {wanted.name} already; name this one otherwise.")
    before = _facts(action)
    _apply(session, action, wanted)
    changes = changes_between(before, _facts(action))
    if secret and action.kind == ActionKind.WEBHOOK and secret != action.secret:
        action.secret = _secret(secret)
        changes |= changes_between({"secret": "…"}, {"secret": "another"})
    session.flush()
    if changes:
        say(session, RemediationActionChanged(**_about(action), changes=changes), now=now)


def remove_action(session: Session, action: RemediationAction, *, now: datetime) -> None:
    """Allow it no more: its runs go with it, and what waits is never tried."""
    gone = changes_between(_facts(action), {})
    say(session, RemediationActionRemoved(**_about(action), changes=gone), now=now)
    session.delete(action)
    session.flush()


def get_action(session: Session, project_id: str, action_id: str) -> RemediationAction:
    """One action of a project. Raises `NotFound`."""
    found = session.get(RemediationAction, action_id)
    if found is None or found.project_id != project_id:
        raise NotFound("The project has no such action; GET …/remediation-actions lists them.")
    return found


def list_actions(session: Session, project_id: str) -> Sequence[RemediationAction]:
    """The actions of a project by name; at most 50."""
    return session.scalars(
        sa.select(RemediationAction)
        .where(RemediationAction.project_id == project_id)
        .order_by(RemediationAction.name)
    ).all()


def wanted_of(action: RemediationAction) -> ActionBody:
    """An action as it would be allowed again: where a change of a part of it begins."""
    return ActionBody(
        kind=ActionKind(action.kind),
        url=action.config.get("url", ""),
        probe_id=action.probe_id,
        command=action.config.get("command", ""),
        **facts_of(action, FACTS),
    )


def target_of(action: RemediationAction) -> str:
    """Where an action goes, without what may be a secret."""
    if action.kind == ActionKind.WEBHOOK:
        return masked_url(str(action.config["url"]))
    return f"{action.config['command']} on {action.config['place']}"


def kept_matchers(text: str) -> str:
    """Matchers as they are kept, in one spelling. Raises `Invalid` for none, and for all alerts."""
    matchers = parse_matchers(text)
    if not matchers:
        raise Invalid(
            'matchers must say which alerts are meant, such as alertname="instance_down".'
        )
    return written(matchers)


def kept_url(url: str) -> str:
    """The URL of a webhook as it is kept. Raises `Invalid`."""
    return checked_url(url, field="url", example="https://deployer.example.com/restart")


def _secret(given: str) -> str:
    """A secret to sign with; empty stays empty. Raises `Invalid`."""
    if given and not is_well_formed(given):
        message = "signingSecret is whsec_ and 24 to 64 bytes in base64; leave it out to get one."
        raise Invalid.of_field("signingSecret", message)
    return given


def _apply(session: Session, action: RemediationAction, wanted: ActionBody) -> None:
    matchers = kept_matchers(wanted.matchers)
    action.config = _config(session, action, wanted)
    action.probe_id = wanted.probe_id if wanted.kind is ActionKind.COMMAND else ""
    for name in FACTS:
        setattr(action, name, getattr(wanted, name))
    action.matchers = matchers


def _config(session: Session, action: RemediationAction, wanted: ActionBody) -> dict[str, Any]:
    if wanted.kind is ActionKind.WEBHOOK:
        return {"url": kept_url(wanted.url)}
    probes = probes_of(session, action.organization_id) if probes_of.is_answered else []
    places = {probe.id: probe.name for probe in probes}
    if wanted.probe_id not in places:
        raise Invalid("probeId is none of your probes; GET /api/probes lists them.")
    return {"place": places[wanted.probe_id], "command": wanted.command}


def _facts(action: RemediationAction) -> dict[str, object]:
    return facts_of(action, FACTS) | {"target": target_of(action)}


def _about(action: RemediationAction) -> dict[str, str]:
    return {
        "organization_id": action.organization_id,
        "project_id": action.project_id,
        "action_id": action.id,
        "name": action.name,
    }
