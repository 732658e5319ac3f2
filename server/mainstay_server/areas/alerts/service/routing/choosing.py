"""Which channels hear of an alert, by which route, and why the others do not. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.kernel.matchers import Matcher, matches_all

from .muting import Quiet
from .pacing import DEFAULT_GROUP_BY, Pace


@dataclass(frozen=True, kw_only=True)
class Route:
    """A row of the routes: alerts that fit its matchers go to its channels.

    The rows are read in order up to the first that fits, or further where that one `goes_on`.
    """

    id: str
    name: str
    matchers: tuple[Matcher, ...]
    channel_ids: tuple[str, ...]
    goes_on: bool = False
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY
    pace: Pace = field(default_factory=Pace)
    quiet: Quiet = field(default_factory=Quiet)


@dataclass(frozen=True, kw_only=True)
class Ear:
    """A channel as far as choosing needs it; `gathers` is whether it shows alerts together."""

    id: str
    instance_id: str | None
    enabled: bool
    minimum: Severity
    quiet: Quiet = field(default_factory=Quiet)
    gathers: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a channel hears of an alert, by which route (None: by none), and why or why not."""

    ear: Ear
    hears: bool
    route: Route | None
    why: str

    def quiet(self, now: datetime) -> str:
        """Why the channel is not told yet, though it hears of the alert; empty when it is."""
        if why := self.ear.quiet.why(now):
            return f"the channel is {why}"
        if self.route is not None and (why := self.route.quiet.why(now)):
            return f"the route {self.route.name!r} is {why}"
        return ""


def fitting(routes: Sequence[Route], labels: Mapping[str, str]) -> list[Route]:
    """The routes that an alert takes, in order."""
    taken: list[Route] = []
    for route in routes:
        if matches_all(route.matchers, labels):
            taken.append(route)
            if not route.goes_on:
                break
    return taken


def judge(
    labels: Mapping[str, str],
    about: tuple[str, Severity],
    routes: Sequence[Route],
    ears: Sequence[Ear],
) -> list[Verdict]:
    """What holds for each channel of a project, of an alert of `(instance id, severity)`.

    A channel that a route names hears by routes only. The others hear as if there were no routes:
    of their instance, or of all, from their least severity on. That holds for routed ones, too.
    """
    taken = fitting(routes, labels)
    named = {channel_id for route in routes for channel_id in route.channel_ids}
    return [_verdict(ear, about, taken, named) for ear in ears]


def _verdict(
    ear: Ear, about: tuple[str, Severity], taken: Sequence[Route], named: set[str]
) -> Verdict:
    instance_id, severity = about
    route = next((each for each in taken if ear.id in each.channel_ids), None)
    if not ear.enabled:
        return Verdict(ear=ear, hears=False, route=route, why="it is switched off")
    if ear.instance_id not in (None, instance_id):
        return Verdict(ear=ear, hears=False, route=route, why="it is of another instance")
    if severity.rank < ear.minimum.rank:
        why = f"it hears from severity {ear.minimum.value} on"
        return Verdict(ear=ear, hears=False, route=route, why=why)
    if route is not None:
        return Verdict(ear=ear, hears=True, route=route, why=f"by the route {route.name!r}")
    if ear.id not in named:
        return Verdict(ear=ear, hears=True, route=None, why="no route names it, so it hears all")
    stopped = next((each for each in taken if not each.goes_on), None)
    why = "no route that names it fits"
    if stopped is not None:
        why += f"; the search ended at the route {stopped.name!r}"
    return Verdict(ear=ear, hears=False, route=None, why=why)
