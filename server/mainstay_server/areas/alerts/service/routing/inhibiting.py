"""Inhibition: while a graver alert stands, what follows from it is not told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mainstay_server.kernel.matchers import Matcher, matches_all, parse_matchers

# What says which watched thing an alert is about; an alert bears one of them at most.
SUBJECTS = ("health_check", "heartbeat", "objective", "subject")


@dataclass(frozen=True, kw_only=True)
class Inhibition:
    """While an alert that fits `source` is active, those that fit `target` are not told.

    Only where the labels named by `equal` are alike, of which an absent one is the empty text.
    """

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def holds(self, source: Mapping[str, str], target: Mapping[str, str]) -> bool:
        """Whether one alert mutes another.

        What fits both sides is not muted by what does as well, so that no alert mutes itself, nor
        two each other: Alertmanager's rule.
        """
        if not (matches_all(self.target, target) and matches_all(self.source, source)):
            return False
        if any(source.get(name, "") != target.get(name, "") for name in self.equal):
            return False
        return not (matches_all(self.source, target) and matches_all(self.target, source))


@dataclass(frozen=True)
class Source:
    """An active alert that may mute others."""

    alert_id: str
    title: str
    labels: Mapping[str, str]


# A critical alert of something watched says all that a milder one of the same thing would.
DEFAULTS: tuple[Inhibition, ...] = tuple(
    Inhibition(
        name=f"critical mutes milder ones of the same {subject.replace('_', ' ')}",
        source=parse_matchers(f'severity="critical",{subject}!=""'),
        target=parse_matchers(f'severity!="critical",{subject}!=""'),
        equal=("project", "environment", subject),
    )
    for subject in SUBJECTS
)


def may_be_inhibited(labels: Mapping[str, str], rules: Iterable[Inhibition]) -> bool:
    """Whether any rule could mute an alert, so that its sources are worth looking for."""
    return any(matches_all(rule.target, labels) for rule in rules)


def inhibited_by(
    alert_id: str,
    labels: Mapping[str, str],
    sources: Sequence[Source],
    rules: Sequence[Inhibition],
) -> Source | None:
    """The active alert that mutes another, the first that does, or None."""
    for rule in rules:
        if not matches_all(rule.target, labels):
            continue
        for source in sources:
            if source.alert_id != alert_id and rule.holds(source.labels, labels):
                return source
    return None
