"""What a form of a health check holds: the answers that were given, or those of a check."""

from collections.abc import Mapping
from dataclasses import replace

from mainstay_server.areas.health_checks.models import HERE, HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS, USUAL_INTERVALS
from mainstay_server.areas.health_checks.schemas.bodies import NewCheck
from mainstay_server.areas.health_checks.service import configs
from mainstay_server.areas.health_checks.service.kinds import DEFAULT_KIND

from .fields import FormField, fields_of

PLACE = "place."
"""Begins the name of each place's box in a form."""
# What takes longer by its nature begins with a longer time-out.
TIMEOUT_SECONDS = {"browser": "30", "steps": "30"}
DEGRADED_AFTER_MS = {"browser": "10000", "steps": "10000"}


def blank(kind: str) -> dict[str, str]:
    """The answers of a form that nobody has touched."""
    common = {
        name: str(field.default)
        for name, field in NewCheck.model_fields.items()
        if isinstance(field.default, int)
    }
    interval = str(USUAL_INTERVALS.get(kind, 60))
    common |= {"interval_seconds": interval, "name": "", "kind": kind, PLACE + HERE: "on"}
    if kind in TIMEOUT_SECONDS:
        common["timeout_seconds"] = TIMEOUT_SECONDS[kind]
        common["degraded_after_ms"] = DEGRADED_AFTER_MS[kind]
        common["interval_seconds"] = "300"
    return common


def asked_apart(kind: str) -> tuple[str, ...]:
    """What a form asks beside the config of a kind: the URL that is the check's own."""
    return ("url",) if kind == DEFAULT_KIND else ()


def answers_of(check: HealthCheck) -> dict[str, str]:
    """The answers that would make this check."""
    numbers = [name for name, value in blank(check.kind).items() if value.isdecimal()]
    return {
        **{name: str(getattr(check, name)) for name in numbers},
        **{PLACE + location: "on" for location in check.locations},
        "quorum": check.quorum,
        "kind": check.kind,
        "name": check.name,
        "url": check.url,
        "conditions": "\n".join(check.conditions),
        "tags": ", ".join(check.tags),
        "parent_id": check.parent_id or "",
    }


def form_of(kind: str, given: Mapping[str, str], check: HealthCheck | None) -> list[FormField]:
    """The inputs of a kind: as they were sent, as the check has them, or as the kind begins."""
    kind = kind if kind in PROVIDERS else DEFAULT_KIND
    provider = PROVIDERS[kind]
    shown, secrets = {}, []
    if check is not None:
        config = configs.config_of(check)
        shown, secrets = configs.shown(config), configs.secrets_of(config)
    elif kind in ("steps", "browser"):
        # A list of steps is easier changed than begun.
        shown = {"steps": provider.EXAMPLE["steps"]}
    fields = fields_of(provider.Config, shown, secrets=secrets, without=asked_apart(kind))
    if not any(name.startswith("config.") for name in given):
        return fields
    return [_as_sent(field, given) for field in fields]


def _as_sent(field: FormField, given: Mapping[str, str]) -> FormField:
    """An input with what was typed; a secret is not shown even to who has just typed it."""
    if field.input == "secret" or field.name == "config.secrets":
        return field
    return replace(field, value=given.get(field.name, ""))
