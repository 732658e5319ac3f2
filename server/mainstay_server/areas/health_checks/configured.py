"""What a document may hold of health checks: every kind, with its config as the API takes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.configured import (
    Configured,
    ConfiguredProject,
    Held,
    Path,
    Shape,
    numbered,
)
from mainstay_server.kernel.problems import Invalid

from .models import EXPIRY_DAYS, HERE, HealthCheck
from .providers import PROVIDERS, SHORTEST_INTERVALS, USUAL_INTERVALS
from .schemas.bodies import (
    Conditions,
    ExpiryDays,
    HealthCheckChanges,
    Interval,
    Locations,
    Milliseconds,
    Name,
    NewCheck,
    NewHealthCheck,
    Tags,
    TellAfter,
    Threshold,
    Timeout,
)
from .schemas.orders import ProviderConfig
from .service import checks, configs
from .service.following import follow_now

HTTP = "http"
CONFIG = "config"


class HealthCheckShape(Shape):
    """One health check. One that follows its instance has its URL and its times from there."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "name")

    instance: str = Field(min_length=1, max_length=64, examples=["production"])
    name: Name
    kind: str = Field(HTTP, description=f"One of {', '.join(PROVIDERS)}.")
    follows_instance: bool = Field(
        default=False, description="It asks the URL of its instance, as often as that says."
    )
    url: str = Field("", max_length=2_000, description="Of kind http, unless it follows.")
    config: dict[str, Any] = Field(
        default_factory=dict, description="How its kind asks, as POST …/health-checks takes it."
    )
    interval_seconds: Interval = 300
    timeout_seconds: Timeout = 10
    degraded_after_ms: Milliseconds = 2_000
    fail_after: Threshold = 1
    recover_after: Threshold = 1
    tell_after_seconds: TellAfter = 0
    conditions: Conditions = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    parent: str = Field(
        "", max_length=165, description="What it depends on: a name, or instance/name."
    )
    expiry_days: ExpiryDays = Field(default_factory=lambda: list(EXPIRY_DAYS))
    locations: Locations = Field(default_factory=lambda: [HERE])
    quorum: Literal["any", "majority", "all"] = "majority"
    paused: bool = False

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if self.kind not in PROVIDERS:
            raise ValueError(f"kind must be one of {', '.join(PROVIDERS)}")
        if "interval_seconds" not in self.model_fields_set:
            self.interval_seconds = USUAL_INTERVALS.get(self.kind, self.interval_seconds)
        least = SHORTEST_INTERVALS.get(self.kind, 0)
        if self.interval_seconds < least:
            raise ValueError(f"a check of kind {self.kind} is asked at most every {least} s")
        if self.follows_instance:
            self._follow()
        elif (self.kind == HTTP) != bool(self.url):
            raise ValueError("url is what a check of kind http needs, and no other kind has")
        self.config = _plain(self.kind, self.as_told())
        self.url = self.url.strip()
        self.locations = sorted(set(self.locations), key=lambda name: (name != HERE, name))
        return self

    def _follow(self) -> None:
        """Take from the instance what is the instance's."""
        fields = type(self).model_fields
        of_instance = ("url", "interval_seconds", "timeout_seconds", "degraded_after_ms")
        if self.kind != HTTP or any(
            getattr(self, name) != fields[name].default for name in of_instance
        ):
            raise ValueError("a check that follows its instance has its URL and times from there")

    def as_told(self) -> ProviderConfig:
        """The config as its kind reads it. Raises ValueError."""
        url = self.url or "https://the.instance" if self.kind == HTTP else None
        try:
            return configs.read_config(self.kind, self.config, url=url)
        except Invalid as problem:
            raise ValueError(problem.detail) from None

    @override
    def secret_paths(self) -> Sequence[Path]:
        return [(CONFIG, *path) for path in configs.secret_places(self.as_told())]

    @override
    def keeps_secrets_of(self, present: Shape) -> bool:
        """A kept secret goes only where it was meant for."""
        assert isinstance(present, HealthCheckShape), "of one kind"
        target = PROVIDERS[self.kind].target_of
        return self.kind == present.kind and target(self.as_told()) == target(present.as_told())


def export_checks(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every check of the project; of two with one name the later is told with a number."""
    found = checks.list_of_project(session, project.id)
    unique = numbered((check.instance_id, check.name) for check in found)
    names = {check.id: (check.instance_id, name) for check, name in zip(found, unique, strict=True)}
    return [
        Held(
            id=check.id,
            shape=_shape(project, check, names),
            removable=check.default_of is None,
        )
        for check in found
    ]


def write_check(
    session: Session,
    project: ConfiguredProject,
    wanted: HealthCheckShape,
    check_id: str | None,
    now: datetime,
) -> str:
    """Make a check or change it; its parent is set once all are there."""
    instance = project.instance(wanted.instance)
    if check_id is None and wanted.follows_instance:
        check = follow_now(session, instance, now=now)
    elif check_id is None:
        check = checks.add_check(session, instance, _new(wanted), now=now)
    else:
        check = checks.get_check(session, instance.id, check_id)
    if check.kind != wanted.kind or (check.default_of is not None) != wanted.follows_instance:
        # Another question: its history belongs to the one before.
        checks.remove_check(session, check, now=now)
        return write_check(session, project, wanted, None, now)
    if check_id is not None or wanted.follows_instance:
        checks.change_check(session, check, _changes(wanted), keep_secrets=False, now=now)
    _pause(session, check, paused=wanted.paused, now=now)
    return check.id


def remove_check(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a check with its history of states."""
    instance = project.instance(held.shape.key[0])
    checks.remove_check(session, checks.get_check(session, instance.id, held.id), now=now)


def set_parents(
    session: Session, project: ConfiguredProject, wrote: Sequence[Held], now: datetime
) -> None:
    """Let each check depend on what it names; all that it could name is there by now."""
    by_id = {check.id: check for check in checks.list_of_project(session, project.id)}
    by_name = {(check.instance_id, check.name): check.id for check in reversed(by_id.values())}
    wanted: dict[str, str | None] = {}
    for held in wrote:
        assert isinstance(held.shape, HealthCheckShape), "of this kind"
        parent = _parent_id(project, held.shape, by_name)
        if by_id[held.id].parent_id != parent:
            wanted[held.id] = parent
    # Two may change places: nobody depends on anybody in between.
    for check_id in wanted:
        if by_id[check_id].parent_id is not None:
            nobody = HealthCheckChanges(parent_id=None)
            checks.change_check(session, by_id[check_id], nobody, now=now)
    for check_id, parent_id in wanted.items():
        if parent_id is not None:
            change = HealthCheckChanges(parent_id=parent_id)
            checks.change_check(session, by_id[check_id], change, now=now)


def _parent_id(
    project: ConfiguredProject,
    shape: HealthCheckShape,
    by_name: Mapping[tuple[str, str], str],
) -> str | None:
    if not shape.parent:
        return None
    environment, slash, name = shape.parent.partition("/")
    places = [(shape.instance, shape.parent)]
    if slash and environment in project.instances:
        places.append((environment, name))
    for where, named in places:
        found = by_name.get((project.instance(where).id, named))
        if found is not None:
            return found
    raise Invalid.of_field(
        "parent", f"parent: there is no health check {shape.parent!r}; name one of the project"
    )


def _shape(
    project: ConfiguredProject, check: HealthCheck, names: Mapping[str, tuple[str, str]]
) -> HealthCheckShape:
    follows = check.default_of is not None
    of_instance: dict[str, Any] = {}
    if not follows:
        of_instance = {
            "url": check.url,
            "interval_seconds": check.interval_seconds,
            "timeout_seconds": check.timeout_seconds,
            "degraded_after_ms": check.degraded_after_ms,
        }
    instance_id, name = names[check.id]
    return HealthCheckShape(
        instance=project.environment_of(instance_id),
        name=name,
        kind=check.kind,
        follows_instance=follows,
        config=_plain(check.kind, configs.config_of(check)),
        fail_after=check.fail_after,
        recover_after=check.recover_after,
        tell_after_seconds=check.tell_after_seconds,
        conditions=check.conditions,
        tags=check.tags,
        parent=_parent_name(project, check, names),
        expiry_days=check.expiry_days,
        locations=check.locations,
        quorum=check.quorum,
        paused=check.paused,
        **of_instance,
    )


def _parent_name(
    project: ConfiguredProject, check: HealthCheck, names: Mapping[str, tuple[str, str]]
) -> str:
    parent = names.get(check.parent_id or "")
    if parent is None:
        return ""
    instance_id, name = parent
    if instance_id == check.instance_id:
        return name
    return f"{project.environment_of(instance_id)}/{name}"


def _plain(kind: str, config: ProviderConfig) -> dict[str, Any]:
    """A config as a document writes it: secrets open, no defaults; http has its URL beside."""
    found = configs.told(config)
    return {name: each for name, each in found.items() if kind != HTTP or name != "url"}


def _new(wanted: HealthCheckShape) -> NewCheck:
    values = wanted.model_dump(exclude={"instance", "follows_instance", "parent", "paused", "url"})
    if wanted.kind == HTTP:
        return NewHealthCheck(url=wanted.url, **values)
    return NewCheck(**values)


def _changes(wanted: HealthCheckShape) -> HealthCheckChanges:
    values = wanted.model_dump(
        exclude={"instance", "kind", "follows_instance", "parent", "paused", "url"}
    )
    if wanted.follows_instance:
        for name in ("interval_seconds", "timeout_seconds", "degraded_after_ms"):
            del values[name]
    elif wanted.kind == HTTP:
        values["url"] = wanted.url
    return HealthCheckChanges(**values)


def _pause(session: Session, check: HealthCheck, *, paused: bool, now: datetime) -> None:
    act = checks.pause_check if paused else checks.resume_check
    act(session, check, now=now)


HEALTH_CHECKS = Configured(
    name="healthChecks",
    title="health check",
    order=10,
    shape=HealthCheckShape,
    export=export_checks,
    write=write_check,
    remove=remove_check,
    finish=set_parents,
)
