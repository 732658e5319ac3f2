"""How often a rule over a measure would have fired, before anybody saves it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import EACH_PART, MeasureRuleFields
from mainstay_server.kernel.columns import Windows
from mainstay_server.kernel.measures import Measure, MeasureFamily, Past, PastQuestion, Reading
from mainstay_server.kernel.subjects import InstanceRef

from .effective import Effective, families, terms_of
from .judging import values_of
from .measure_rules import check_measured
from .replaying import Replayed, Spell, Worst, replay
from .thresholds import passes

PREVIEWED = timedelta(days=7)
MOST_SHOWN = 50
PREVIEW = "preview"


class Ground(StrEnum):
    """Whether there was something to judge a rule by, and if not, why."""

    JUDGED = "judged"
    TOO_FEW = "too_few"
    NO_DATA = "no_data"
    NO_PAST = "no_past"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a rule would have told of an instance, had it been written at `since`.

    `spells` are the newest, at most 50, and `count` is of all, `alerts` of how many alerts they
    would have been. `now` is the value that is furthest on the bad side at the last look, and
    `now_severity` what it passes now, whether or not for long enough. Without a past, only these
    two are told.
    """

    ground: Ground
    since: datetime
    until: datetime
    asked_since: datetime
    spells: Sequence[Spell] = ()
    count: int = 0
    alerts: int = 0
    data_since: datetime | None = None
    minutes: int = 0
    judged_minutes: int = 0
    worst: Worst | None = None
    now: Worst | None = None
    now_severity: Severity | None = None
    has_more_parts: bool = False
    measure: Measure | None = None
    family: MeasureFamily | None = None

    @property
    def is_cut(self) -> bool:
        """Whether less than the whole week was looked at, because there was too much."""
        return self.since > self.asked_since

    @property
    def firing_now(self) -> Severity | None:
        """The gravest alert that would be open at the last look."""
        still = [spell.told[-1][1] for spell in self.spells if spell.ended_at is None]
        return max(still, key=lambda each: each.rank, default=None)


def preview(
    session: Session,
    instance: InstanceRef,
    value: MeasureRuleFields,
    *,
    of_instance: bool,
    now: datetime,
) -> Preview:
    """Judge a rule over the last seven days of an instance, as it would have been every minute.

    `of_instance` is a rule of this instance alone, which expects data of it; one of all instances
    misses data only where there were some before. It is judged even where it is switched off.
    What `kernel.columns.slide` limits, it limits here.

    Raises:
        Invalid: nobody declares the measure, or that cannot be asked of it.
        TooBroad: even the newest hour is too much to look at.
    """
    check_measured(value)
    until = now.replace(second=0, microsecond=0)
    since = until - PREVIEWED
    family = families().get(value.measure)
    if family is None:
        return Preview(ground=Ground.NOT_MEASURED, since=since, until=until, asked_since=since)
    rule = _effective(value, instance, of_instance=of_instance)
    past = _past(session, family, rule, instance.id, since=since, until=until)
    measure = next(each for each in family.measures if each.name == value.measure)
    asked = Preview(
        ground=Ground.NO_PAST,
        since=since,
        until=until,
        asked_since=since,
        measure=measure,
        family=family,
    )
    if past is None:
        readings = _present(session, family, rule, instance.id, now)
        return _with_present(asked, rule, readings, at=now)
    found = replay(rule, instance.id, instance.project_id, past.at, since=past.since, until=until)
    judged = _with_past(asked, rule, found)
    judged = replace(judged, since=past.since, has_more_parts=past.has_more_parts)
    return _with_present(judged, rule, past.at(until), at=until)


def _with_past(asked: Preview, rule: Effective, found: Replayed) -> Preview:
    return replace(
        asked,
        ground=_ground(rule, found),
        spells=_newest(found.spells),
        count=len(found.spells),
        alerts=sum(len(spell.told) for spell in found.spells),
        data_since=found.data_since,
        minutes=found.minutes,
        judged_minutes=found.judged_minutes,
        worst=found.worst,
    )


def _with_present(
    found: Preview, rule: Effective, readings: Sequence[Reading], *, at: datetime
) -> Preview:
    worst = _worst_of(rule, readings, at=at)
    return replace(found, now=worst, now_severity=_passed(rule, worst))


def _effective(value: MeasureRuleFields, instance: InstanceRef, *, of_instance: bool) -> Effective:
    return Effective(
        id=PREVIEW,
        project_id=instance.project_id,
        instance_id=instance.id if of_instance else None,
        name=PREVIEW,
        measure=value.measure,
        part=value.part,
        window_seconds=value.window_seconds,
        terms=terms_of(value),
    )


def _past(
    session: Session,
    family: MeasureFamily,
    rule: Effective,
    instance_id: str,
    *,
    since: datetime,
    until: datetime,
) -> Past | None:
    if family.replay is None:
        return None
    asked = PastQuestion(
        measure=rule.measure,
        instance_id=instance_id,
        windows=Windows(width=timedelta(seconds=rule.window_seconds), since=since, until=until),
        by_part=bool(rule.part),
        part="" if rule.part == EACH_PART else rule.part,
    )
    return family.replay(session, asked)


def _present(
    session: Session, family: MeasureFamily, rule: Effective, instance_id: str, now: datetime
) -> Sequence[Reading]:
    """What a measure without a past is now."""
    since = now - timedelta(seconds=rule.window_seconds if family.windowed else 0)
    read = family.read(session, since=since, until=now, by_part=bool(rule.part))
    return [reading for reading in read if reading.instance_id == instance_id]


def _ground(rule: Effective, found: Replayed) -> Ground:
    if found.judged_minutes or (rule.terms.compares == "absent" and found.spells):
        return Ground.JUDGED
    return Ground.TOO_FEW if found.minutes else Ground.NO_DATA


def _newest(spells: Sequence[Spell]) -> Sequence[Spell]:
    """The newest spells, those that last before all others."""
    by_age = sorted(spells, key=lambda each: (each.ended_at is None, each.began_at), reverse=True)
    return by_age[:MOST_SHOWN]


def _worst_of(rule: Effective, readings: Sequence[Reading], *, at: datetime) -> Worst | None:
    known = [
        Worst(value, at, part) for part, value in values_of(rule, readings) if value is not None
    ]
    if not known:
        return None
    choose = min if rule.terms.compares == "below" else max
    return choose(known, key=lambda each: each.value)


def _passed(rule: Effective, worst: Worst | None) -> Severity | None:
    value = None if worst is None else worst.value
    passed = [level.severity for level in rule.terms.levels if passes(rule.terms, level, value)]
    return max(passed, key=lambda each: each.rank, default=None)
