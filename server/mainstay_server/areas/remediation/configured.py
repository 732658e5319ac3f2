"""What a document may hold of remediation: the actions that a project allows.

Only administrators allow what is done by itself, and so only they apply a document that does.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.contracts.health_checks import probes_of
from mainstay_server.kernel.configured import KEPT, Configured, ConfiguredProject, Held, Path, Shape
from mainstay_server.kernel.events import facts_of
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.subjects import ProjectRef, find_project

from .models import ActionKind, RemediationAction
from .schemas import ActionBody, ActionFields
from .service import actions

OF_KIND = {"url", "probe", "signing_secret"}


class ActionShape(ActionFields, Shape):
    """An action that is allowed: a signed webhook, or a command that a probe's own file names."""

    url: str = Field(
        "", max_length=2000, description="Of a webhook.", examples=["${DEPLOYER_URL:-kept}"]
    )
    probe: str = Field("", max_length=100, description="Of a command: the name of its probe.")
    signing_secret: str = Field(
        KEPT, description="Of a webhook: whsec_… or kept, which makes one at first."
    )

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        webhook = self.kind is ActionKind.WEBHOOK
        if webhook and (not self.url or self.probe or self.command):
            raise ValueError("a webhook needs a url, and has neither probe nor command")
        if not webhook and (self.url or not (self.probe and self.command)):
            raise ValueError("a command needs a probe and the command's name, and has no url")
        if not webhook:
            self.signing_secret = KEPT
        try:
            self.matchers = actions.kept_matchers(self.matchers)
            if webhook and self.url != KEPT:
                self.url = actions.kept_url(self.url)
        except Invalid as problem:
            raise ValueError(problem.detail) from None
        return self

    @override
    def secret_paths(self) -> Sequence[Path]:
        return (("url",), ("signingSecret",)) if self.kind is ActionKind.WEBHOOK else ()


def export_actions(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every action that the project allows, with its secrets."""
    places = {id_: name for name, id_ in _probes(session, project).items()}
    return [
        Held(id=action.id, shape=_shape(action, places))
        for action in actions.list_actions(session, project.id)
    ]


def write_action(
    session: Session,
    project: ConfiguredProject,
    wanted: ActionShape,
    action_id: str | None,
    now: datetime,
) -> str:
    """Allow an action, or allow it exactly so; one of another kind takes its place."""
    values: dict[str, Any] = wanted.model_dump(exclude=OF_KIND) | {"url": wanted.url}
    if wanted.kind is ActionKind.COMMAND:
        values["probe_id"] = _probe_id(session, project, wanted.probe)
    body = ActionBody.model_validate(values)
    secret = "" if wanted.signing_secret == KEPT else wanted.signing_secret
    if action_id is not None:
        action = actions.get_action(session, project.id, action_id)
        if action.kind == wanted.kind:
            actions.change_action(session, action, body, secret=secret, now=now)
            return action.id
        actions.remove_action(session, action, now=now)
    ref = _ref(session, project)
    return actions.allow_action(session, ref, body, secret=secret, now=now).id


def remove_action(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Allow it no more."""
    action = actions.get_action(session, project.id, held.id)
    actions.remove_action(session, action, now=now)


def _shape(action: RemediationAction, places: Mapping[str, str]) -> ActionShape:
    gone = str(action.config.get("place", ""))
    facts: dict[str, Any] = {**facts_of(action, actions.FACTS)}
    return ActionShape.model_construct(
        kind=ActionKind(action.kind),
        url=action.config.get("url", ""),
        probe=places.get(action.probe_id, gone),
        command=action.config.get("command", ""),
        signing_secret=action.secret or KEPT,
        **facts,
    )


def _probe_id(session: Session, project: ConfiguredProject, name: str) -> str:
    found = _probes(session, project).get(name)
    if found is None:
        message = f"there is no probe {name!r} in the organization; GET /api/probes lists them"
        raise Invalid.of_field("probe", message)
    return found


def _probes(session: Session, project: ConfiguredProject) -> Mapping[str, str]:
    """The ids of the organization's probes by name; of two of one name that which was first."""
    if not probes_of.is_answered:
        return {}
    found: dict[str, str] = {}
    for probe in probes_of(session, project.organization_id):
        found.setdefault(probe.name, probe.id)
    return found


def _ref(session: Session, project: ConfiguredProject) -> ProjectRef:
    found = find_project(session, project.id)
    assert found is not None, "the document is about it"
    return found


ACTIONS = Configured(
    name="remediationActions",
    title="remediation action",
    order=78,
    shape=ActionShape,
    export=export_actions,
    write=write_action,
    remove=remove_action,
    guarded=True,
    administered=frozenset(ActionShape.model_fields),
)
