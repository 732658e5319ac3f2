"""Judging answers by the conditions of their check, whatever its kind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.providers import PROVIDERS, domain
from mainstay_server.areas.health_checks.schemas.orders import Fact, ProbeOrder, ProbeResult
from mainstay_server.areas.health_checks.schemas.places import without
from mainstay_server.kernel.conditions import (
    ConditionError,
    Duration,
    Judgement,
    judge,
    names_in,
    parse,
)
from mainstay_server.kernel.problems import Invalid

from .configs import secret_values

ENDS = {
    "CERTIFICATE_EXPIRATION": "certificate_ends_at",
    "DOMAIN_EXPIRATION": "domain_ends_at",
}
MOST_TOLD = 5


def judged(order: ProbeOrder, result: ProbeResult, *, now: datetime) -> ProbeResult:
    """The result as the conditions of the check see it; those that failed are told resolved.

    Of what did not answer only a condition on `[CONNECTED]` says more: then it decides alone.
    """
    if not order.conditions or not result.conclusive:
        return result
    understood = [parse(text) for text in order.conditions]
    values = {**result.values, **_lasting(result, now)}
    if values.get("CONNECTED") is False:
        understood = [each for each in understood if "CONNECTED" in names_in(each)]
        if not understood:
            return result
        result = replace(result, state=HealthState.HEALTHY, reason="")
    return _with_failed(order, result, [judge(each, values) for each in understood])


async def with_domain(order: ProbeOrder, result: ProbeResult) -> ProbeResult:
    """The result with the end of its host's registration, where a condition speaks of that.

    It is looked up at most twice a day; a registry that does not answer leaves it out.
    """
    if order.kind == "domain" or not order.host or not order.speaks_of("DOMAIN_EXPIRATION"):
        return result
    try:
        found = await domain.registration_of(order.host, timeout_seconds=order.timeout_seconds)
    except (domain.NoRegistry, domain.Unregistered):
        return result
    if found.ends_at is None:
        return result
    ends: dict[str, Fact] = {
        "domain_ends_at": found.ends_at.timestamp(),
        "domain": found.domain,
    }
    return replace(result, facts={**result.facts, **ends})


def checked_conditions(kind: str, texts: Sequence[str]) -> list[str]:
    """Conditions as they are kept; raises `Invalid` for one that this kind cannot answer."""
    known = PROVIDERS[kind].VALUES
    checked = []
    for number, text in enumerate(texts):
        try:
            condition = parse(text)
        except ConditionError as error:
            raise _refused(number, str(error)) from None
        unknown = sorted(names_in(condition) - known)
        if unknown:
            names = ", ".join(f"[{name}]" for name in sorted(known))
            about = f"a check of kind {kind} knows no [{unknown[0]}]; it knows {names}"
            raise _refused(number, about)
        checked.append(condition.text)
    return checked


def _refused(number: int, why: str) -> Invalid:
    field = f"conditions.{number}"
    return Invalid(f"{field}: {why}.", errors=[{"field": field, "message": why}])


def _lasting(result: ProbeResult, now: datetime) -> dict[str, object]:
    """How long what ends by itself still lasts."""
    return {
        name: Duration((float(ends_at) - now.timestamp()) * 1000)
        for name, fact in ENDS.items()
        if isinstance(ends_at := result.facts.get(fact), int | float)
    }


def _with_failed(
    order: ProbeOrder, result: ProbeResult, judgements: Sequence[Judgement]
) -> ProbeResult:
    failed = [each for each in judgements if not each.holds]
    if not failed:
        return result
    hard = [each for each in failed if not each.condition.degrades]
    ordered = (*hard, *(each for each in failed if each not in hard))
    # What an answer holds may well be what was sent.
    hidden = (*result.hidden, *secret_values(order))
    shown = tuple(without(each.shown, hidden) for each in ordered)
    state = HealthState.UNHEALTHY if hard else HealthState.DEGRADED
    return replace(result, failed=shown).worsened(state, "; ".join(shown[:MOST_TOLD]))
