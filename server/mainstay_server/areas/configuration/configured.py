"""What a document may hold of tenancy, which is no area itself: instances."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape
from mainstay_server.kernel.problems import Problem
from mainstay_server.tenancy.models import (
    DEFAULT_DEGRADED_AFTER_MS,
    DEFAULT_INTERVAL_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
)
from mainstay_server.tenancy.service import instances
from mainstay_server.tenancy.service.fields import clean_path, clean_url
from mainstay_server.tenancy.service.instances import Asking
from mainstay_server.tenancy.subjects import find_instance

MOST_INSTANCES = 100


def _url(text: str) -> str:
    return _cleaned(clean_url, text, "url")


def _path(text: str) -> str:
    return _cleaned(clean_path, text, "healthPath")


class InstanceShape(Shape):
    """One environment of the project, and how it is asked whether it is well."""

    KEY: ClassVar[tuple[str, ...]] = ("environment",)

    environment: str = Field(min_length=1, max_length=64, examples=["production"])
    url: Annotated[str, AfterValidator(_url)] = Field(
        "", description="Where it runs; without one it is not asked."
    )
    health_path: Annotated[str, AfterValidator(_path)] = ""
    interval_seconds: int = Field(DEFAULT_INTERVAL_SECONDS, ge=5, le=86_400)
    timeout_seconds: int = Field(DEFAULT_TIMEOUT_SECONDS, ge=1, le=60)
    degraded_after_ms: int = Field(DEFAULT_DEGRADED_AFTER_MS, ge=50, le=60_000)


def export_instances(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every instance of the project."""
    rows = instances.list_instances(
        session, project.organization_id, project=project.slug, limit=MOST_INSTANCES
    )
    return [
        Held(
            id=instance.id,
            shape=InstanceShape(
                environment=instance.environment,
                url=instance.url,
                health_path=instance.health_path,
                interval_seconds=instance.interval_seconds,
                timeout_seconds=instance.timeout_seconds,
                degraded_after_ms=instance.degraded_after_ms,
            ),
        )
        for instance, _ in rows
    ]


def write_instance(
    session: Session,
    project: ConfiguredProject,
    wanted: InstanceShape,
    instance_id: str | None,
    now: datetime,
) -> str:
    """Make the instance, or let it be asked as the document says."""
    asking = Asking(
        url=wanted.url,
        health_path=wanted.health_path,
        interval_seconds=wanted.interval_seconds,
        timeout_seconds=wanted.timeout_seconds,
        degraded_after_ms=wanted.degraded_after_ms,
    )
    if instance_id is None:
        made = instances.create_instance(session, project.id, wanted.environment, asking, now=now)
    else:
        made = instances.change_instance(session, instance_id, asking, now=now)
    found = find_instance(session, made.id)
    assert found is not None, "it was written just now"
    project.instances[wanted.environment] = found
    return made.id


def remove_instance(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove an instance with all that hangs on it."""
    instances.delete_instance(session, held.id, now=now)
    project.instances.pop(held.shape.key[0], None)


def _cleaned(clean: Callable[[str], str], text: str, field: str) -> str:
    try:
        return clean(text)
    except Problem as problem:
        raise ValueError(problem.detail.removeprefix(f"{field} ")) from None


INSTANCES = Configured(
    name="instances",
    title="instance",
    order=0,
    shape=InstanceShape,
    export=export_instances,
    write=write_instance,
    remove=remove_instance,
    guarded=True,
)
