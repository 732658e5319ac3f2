"""The arithmetic of error budgets: burn rates over windows, what is left, when it is gone.

As in Google's Site Reliability Workbook, chapter 5: alerts on several windows and burn rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHOLE = 100.0
AT_RISK_PERCENT = 20.0
# Well again only above this, so that a budget at its edge does not go back and forth.
CALM_PERCENT = 25.0

Severity = Literal["page", "ticket"]


SEVERITY_ORDER: tuple[Severity, ...] = ("page", "ticket")


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What was counted, requests or seconds that were watched, and how much of it was bad."""

    total: float
    bad: float

    @property
    def bad_share(self) -> float:
        """From 0 to 1; 0 where nothing was counted."""
        return self.bad / self.total if self.total else 0.0


class Measured(Protocol):
    """What an objective was counted by, as far back as it is known."""

    @property
    def known_since(self) -> datetime | None:
        """When it begins; None while there is nothing."""

    def between(self, since: datetime, until: datetime) -> Amount:
        """What was counted between two instants, maintenance left out."""


@dataclass(frozen=True, kw_only=True)
class BurnRule:
    """Fire when both windows burn so fast that `budget` of all is gone within the long one."""

    severity: Severity
    budget: float
    long: timedelta
    short: timedelta

    @property
    def key(self) -> str:
        """Its name: the hours of its long window."""
        return f"{self.long / HOUR:g}h"

    def factor(self, period: timedelta) -> float:
        """The burn rate from which on it fires: budget * period / long window."""
        return self.budget * (period / self.long)


RULES = (
    BurnRule(severity="page", budget=0.02, long=HOUR, short=timedelta(minutes=5)),
    BurnRule(severity="page", budget=0.05, long=6 * HOUR, short=timedelta(minutes=30)),
    BurnRule(severity="ticket", budget=0.10, long=DAY, short=2 * HOUR),
    BurnRule(severity="ticket", budget=0.10, long=3 * DAY, short=6 * HOUR),
)


@dataclass(frozen=True, kw_only=True)
class Burn:
    """How one rule stands; `long` and `short` are burn rates over its windows."""

    rule: BurnRule
    factor: float
    long: float
    short: float
    has_history: bool

    @property
    def fires(self) -> bool:
        """Whether both windows burn too fast, over a long window that is wholly known."""
        return self.has_history and self.long > self.factor and self.short > self.factor


def burn_rate(amount: Amount, target_percent: float) -> float:
    """How many times faster than allowed errors come: error ratio / (1 - target)."""
    return amount.bad_share / _allowed(target_percent)


def budget_left(amount: Amount, target_percent: float) -> float:
    """What is left of the budget in percent, signed: 1 - (bad / total) / (1 - target)."""
    return WHOLE * (1 - amount.bad_share / _allowed(target_percent))


def burns(
    measured: Measured, *, target_percent: float, period: timedelta, now: datetime
) -> list[Burn]:
    """How each of the standard rules stands at a moment."""
    since = measured.known_since

    def rate(window: timedelta) -> float:
        return burn_rate(measured.between(now - window, now), target_percent)

    return [
        Burn(
            rule=rule,
            factor=rule.factor(period),
            long=rate(rule.long),
            short=rate(rule.short),
            has_history=since is not None and since <= now - rule.long,
        )
        for rule in RULES
    ]


def burning_after(
    before: Mapping[str, Mapping[str, str | bool]], found: list[Burn], *, now: datetime
) -> dict[str, dict[str, str | bool]]:
    """Which rules burn, from which did and how each stands now.

    A rule begins when both windows burn, and ends when the long one does not any more. Within a
    long window of its last beginning it does not begin again.
    """
    after: dict[str, dict[str, str | bool]] = {}
    for burn in found:
        key = burn.rule.key
        was = before.get(key, {})
        fired_at = datetime.fromisoformat(str(was["firedAt"])) if was else None
        if was.get("burns") and burn.long > burn.factor:
            after[key] = dict(was)
        elif fired_at is not None and now < fired_at + burn.rule.long:
            after[key] = {"firedAt": fired_at.isoformat(), "burns": False}
        elif burn.fires and not was.get("burns"):
            after[key] = {"firedAt": now.isoformat(), "burns": True}
    return after


def severities(burning: Mapping[str, Mapping[str, str | bool]]) -> set[Severity]:
    """How grave it is: of each rule that burns, its severity."""
    return {rule.severity for rule in RULES if burning.get(rule.key, {}).get("burns")}


def exhausted_at(
    left_percent: float, burn: float, *, period: timedelta, ends_at: datetime | None, now: datetime
) -> datetime | None:
    """When nothing is left of a budget if it burns on so; None if that never comes.

    A burn rate of 1 uses the whole budget up in one period. A period that moves along gives back
    what is old, so that at a rate of 1 or less something always stays; one that ends at `ends_at`
    begins anew.
    """
    if left_percent <= 0:
        return now
    if burn <= 0 or (ends_at is None and burn <= 1):
        return None
    gone = now + period * (left_percent / WHOLE / burn)
    return None if ends_at is not None and gone >= ends_at else gone


def status_after(before: str, left_percent: float) -> Literal["ok", "at_risk", "exhausted"]:
    """How a budget stands; near an edge it stays as it was."""
    if left_percent <= 0:
        return "exhausted"
    if left_percent < AT_RISK_PERCENT or (before != "ok" and left_percent < CALM_PERCENT):
        return "at_risk"
    return "ok"


def window_name(window: timedelta) -> str:
    """`5m`, `1h`, `3d`."""
    minutes = round(window.total_seconds() / 60)
    for name, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{name}"
    return f"{minutes}m"


def _allowed(target_percent: float) -> float:
    return (WHOLE - target_percent) / WHOLE
