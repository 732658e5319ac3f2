"""Guard keys, the general settings of a policy, and what became of requests, over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router, example, parse_hours
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, dsn_with_secret
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .models import GuardKey, GuardSettings
from .schemas import (
    ClientSection,
    CorsSection,
    FigureAnswer,
    GuardFigures,
    GuardKeyAnswer,
    GuardKeyBody,
    GuardKeys,
    GuardSettingsAnswer,
    GuardSettingsBody,
    HeadersSection,
    NewGuardKeyAnswer,
)
from .service import figures, keys, policies, settings

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
ViewedInstance = Annotated[InstanceRef, access.instance(Role.VIEWER)]
AdministeredInstance = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@router.get(
    "/api/projects/{slug}/guard-keys", summary="List guard keys", operation_id="list_guard_keys"
)
def list_keys(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> GuardKeys:
    """The secrets by which a project's servers read its policies, newest first."""
    page = keys.list_keys(session, project.id, limit=limit, cursor=cursor)
    return GuardKeys(
        guard_keys=[GuardKeyAnswer.model_validate(row) for row in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/projects/{slug}/guard-keys",
    summary="Make a guard key",
    operation_id="create_guard_key",
    status_code=201,
)
def create_key(
    request: Request, session: Session, project: Administered, body: GuardKeyBody
) -> NewGuardKeyAnswer:
    """Make one more; the secret is in this answer and nowhere else."""
    row, key = keys.create_key(session, project, name=body.name, now=utc_now())
    return new_key_answer(row, key, dsn_with_secret(session, base_url(request), project, key))


@router.post(
    "/api/projects/{slug}/guard-keys/{key_id}/revoke",
    summary="Revoke a guard key",
    operation_id="revoke_guard_key",
)
def revoke_key(session: Session, project: Administered, key_id: str) -> GuardKeyAnswer:
    """Have it open nothing any more. Apps that hold it go on with the policy they have."""
    return GuardKeyAnswer.model_validate(keys.revoke_key(session, project, key_id, now=utc_now()))


@router.get(
    "/api/instances/{instance_id}/guard/settings",
    summary="General settings of the guard",
    operation_id="get_guard_settings",
)
def get_settings(session: Session, instance: ViewedInstance) -> GuardSettingsAnswer:
    """Mode, client address, body limit, headers and CORS of an instance's policy."""
    return _settings(session, instance, settings.find_settings(session, instance.id))


@router.patch(
    "/api/instances/{instance_id}/guard/settings",
    summary="Change general settings of the guard",
    operation_id="change_guard_settings",
)
def change_settings(
    session: Session, instance: AdministeredInstance, body: GuardSettingsBody
) -> GuardSettingsAnswer:
    """Change what is given; apps and processes follow within a second."""
    row = settings.change_settings(session, instance, body, now=utc_now())
    return _settings(session, instance, row)


@router.get(
    "/api/instances/{instance_id}/guard/policy",
    summary="The policy of an instance",
    operation_id="get_guard_policy_for_people",
    responses=example({"version": 1, "environment": "production", "mode": "enforce"}),
)
def get_policy(session: Session, instance: AdministeredInstance) -> dict[str, Any]:
    """The document that apps decide by, without the digests of keys."""
    document = policies.make_document(session, instance, now=utc_now())
    return figures.without_secrets(document)


@router.get(
    "/api/instances/{instance_id}/guard/figures",
    summary="What became of guarded requests",
    operation_id="get_guard_figures",
)
def get_figures(
    instance: ViewedInstance,
    hours: Annotated[int, Query(description="How far back.", examples=[24])] = 24,
) -> GuardFigures:
    """Requests by what became of them, most first: passed, or the code of the refusal."""
    found = figures.figures_of(instance.id, hours=parse_hours(hours), now=utc_now())
    return GuardFigures(
        instance_id=instance.id,
        hours=hours,
        figures=[
            FigureAnswer(
                code=row["refusal"],
                simulated=row["simulated"],
                total=row["total"],
                addresses=row["addresses"],
                last_at=row["last_at"],
            )
            for row in found
        ],
    )


def new_key_answer(row: GuardKey, key: str, dsn: str) -> NewGuardKeyAnswer:
    """What is shown once of a new key."""
    return NewGuardKeyAnswer(**GuardKeyAnswer.model_validate(row).model_dump(), key=key, dsn=dsn)


def _settings(session: Session, instance: InstanceRef, row: GuardSettings) -> GuardSettingsAnswer:
    return GuardSettingsAnswer(
        mode=row.mode,
        client=ClientSection.model_validate(row.client),
        most_body_bytes=row.most_body_bytes,
        headers=HeadersSection.model_validate(row.headers),
        cors=None if row.cors is None else CorsSection.model_validate(row.cors),
        version=policy_version(session, instance.id),
    )
