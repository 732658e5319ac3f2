"""What is imported of an Alertmanager chooses whom its own `amtool` chooses, for any labels."""

import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mainstay_cli.importing.alertmanager import read_alertmanager
from mainstay_cli.importing.alertmanager_times import Interval, quiet_of, read_intervals
from mainstay_cli.importing.drafts import Draft
from mainstay_cli.importing.lined import read_lined
from mainstay_server.areas.alerts.configured.routing import RouteShape
from mainstay_server.areas.alerts.service.routing.choosing import Route, fitting
from mainstay_server.areas.alerts.service.routing.muting import spans_of
from mainstay_server.installed import AREAS
from mainstay_server.kernel.matchers import parse_matchers
from tests.servers.processes import required_program
from tests.world import World

pytestmark = pytest.mark.slow

TREES = 25
LABEL_SETS = 12
MOST_RECEIVERS = 9
SECONDS = 60
VALUES = {
    "severity": ("critical", "warning", "info"),
    "team": ("web", "db", "it's"),
    "tier": ("1", "2"),
}
MATCHERS = (
    *('severity="critical"', 'severity!="info"', 'severity=~"critical|warning"', 'team="web"'),
    *('team!~"web|db"', 'tier="1"', 'tier=""', 'team="db"', 'severity=~".+"', 'tier!="2"'),
)
FILE = """\
route:
  receiver: default
  group_by: [alertname]
  routes:
    - receiver: nobody
      matchers: [alertname="Watchdog"]
    - receiver: log
      continue: true
      matchers: ['{severity=~"critical|high",team!=""}']
      routes:
        - {receiver: log-web, match: {team: web}}
        - {receiver: log-db, match_re: {team: "db|cache"}, continue: true}
        - {receiver: log-deep, match: {tier: "1"}}
    - receiver: pager
      match: {severity: critical}
      routes:
        - {receiver: web, matchers: ["team = web"]}
        - {receiver: db, matchers: [team=~"d.*"], continue: true}
        - {receiver: tier, matchers: [tier="1"]}
    - receiver: web
      matchers: [team="web"]
      group_wait: 10s
      mute_time_intervals: [nights]
inhibit_rules:
  - {source_match: {severity: critical}, target_match: {severity: warning}, equal: [team]}
time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}], location: Europe/Riga}]
receivers:
  - name: nobody
"""
NAMES = ("default", "log", "log-web", "log-db", "log-deep", "pager", "web", "db", "tier")
LABELS: tuple[Mapping[str, str], ...] = (
    {"alertname": "Watchdog", "severity": "critical"},
    {"severity": "critical"},
    {"severity": "critical", "team": "web"},
    {"severity": "high", "team": "web"},
    {"severity": "high", "team": "web", "tier": "1"},
    {"severity": "high", "team": "db", "tier": "1"},
    {"severity": "critical", "team": "db", "tier": "1"},
    {"severity": "critical", "team": "db"},
    {"severity": "critical", "team": "cache", "tier": "2"},
    {"severity": "high", "team": "sales"},
    {"severity": "warning", "team": "web"},
    {"severity": "warning", "team": "db"},
    {},
)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(*AREAS)


def with_receivers(text: str, names: tuple[str, ...]) -> str:
    """The file with a webhook for each receiver."""
    hook = "  - name: {0}\n    webhook_configs: [{{url: 'https://hooks.example/in/{0}'}}]\n"
    return text + "".join(hook.format(name) for name in names)


def chosen_there(file: Path, labels: Mapping[str, str]) -> set[str]:
    """Whom Alertmanager would tell, by its own program."""
    program = required_program("amtool", package="prometheus-alertmanager")
    pairs = [f"{name}={value}" for name, value in labels.items()]
    asked = [program, "config", "routes", "test", f"--config.file={file}", *pairs]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert found.returncode == 0, found.stderr
    return set(found.stdout.strip().split(","))


def routes_of(draft: Draft) -> list[Route]:
    """The draft's routes as the server reads them; a channel is called as its receiver."""
    document = yaml.safe_load(draft.text(project="shop", source="there"))
    shapes = [RouteShape.model_validate(each) for each in document["alertRoutes"]]
    assert len({shape.name for shape in shapes}) == len(shapes)
    return [
        Route(
            id=shape.name,
            name=shape.name,
            matchers=parse_matchers(shape.matchers),
            channel_ids=tuple(shape.channels),
            goes_on=shape.goes_on,
        )
        for shape in sorted(shapes, key=lambda shape: shape.position)
    ]


def test_an_applied_file_tells_the_receivers_that_amtool_names(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(with_receivers(FILE, NAMES))
    draft = read_alertmanager(file.read_text(), folder=tmp_path)
    asked: dict[str, Any] = {
        "document": draft.text(project=world.project, source=file.name),
        "variables": draft.secrets,
    }
    base = f"/api/projects/{world.project}"
    done = world.alice.post(f"{base}/configuration/apply", json=asked)
    assert done.status_code == 200, done.text
    assert done.json()["created"] == len(NAMES) + len(routes_of(draft)) + 1
    again = world.alice.post(f"{base}/configuration/plan", json=asked).json()
    assert again["changes"] == []
    exported = world.alice.get(f"{base}/configuration").text
    assert "hooks.example/in" not in exported
    there_and_back = world.alice.post(f"{base}/configuration/plan", json={"document": exported})
    assert there_and_back.json()["changes"] == []

    for labels in LABELS:
        tried = world.alice.post(f"{base}/alert-route-test", json={"labels": labels})
        assert tried.status_code == 200, tried.text
        heard = {each["channel"] for each in tried.json()["channels"] if each["hears"]}
        assert (heard or {"nobody"}) == chosen_there(file, {"severity": "critical", **labels}), (
            labels
        )


def a_route(dice: random.Random, depth: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "receiver": f"r{dice.randrange(MOST_RECEIVERS)}",
        "matchers": dice.sample(MATCHERS, dice.choice((1, 1, 1, 2, 0))),
        "continue": dice.random() < 0.35,
    }
    if depth:
        told["routes"] = [a_route(dice, depth - 1) for _ in range(dice.randrange(4))]
    return told


@pytest.mark.parametrize("seed", range(TREES))
def test_any_tree_chooses_alike(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    tree = {"receiver": "r0", "routes": [a_route(dice, 2) for _ in range(3)]}
    file = tmp_path / "alertmanager.yml"
    names = tuple(f"r{number}" for number in range(MOST_RECEIVERS))
    file.write_text(with_receivers(yaml.safe_dump({"route": tree}) + "receivers:\n", names))
    routes = routes_of(read_alertmanager(file.read_text(), folder=tmp_path))
    for _ in range(LABEL_SETS):
        labels = {
            name: dice.choice(values) for name, values in VALUES.items() if dice.random() < 0.75
        }
        taken = {id_ for route in fitting(routes, labels) for id_ in route.channel_ids}
        assert taken == chosen_there(file, labels), labels


def a_week(intervals: list[Interval], day: int, minute: int) -> bool:
    return any(each.week[day][minute] for each in intervals)


@pytest.mark.parametrize("seed", range(20))
def test_quiet_times_are_the_minutes_of_the_intervals(seed: int) -> None:
    dice = random.Random(seed)
    days = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

    def entry() -> dict[str, Any]:
        told: dict[str, Any] = {}
        if dice.random() < 0.7:
            first, last = sorted(dice.sample(range(7), 2))
            told["weekdays"] = [f"{days[first]}:{days[last]}"]
        if dice.random() < 0.7:
            begin, end = sorted(dice.sample(range(0, 1441, 30), 2))
            clock = [f"{at // 60:02}:{at % 60:02}" for at in (begin, end)]
            told["times"] = [{"start_time": clock[0], "end_time": clock[1]}]
        return told

    told = {
        "time_intervals": [
            {"name": name, "time_intervals": [entry() for _ in range(dice.randint(1, 2))]}
            for name in ("quiet", "open")
        ]
    }
    known = read_intervals(read_lined(yaml.safe_dump(told), "The file"))
    draft = Draft("")
    times, zone = quiet_of(draft, "route", ["quiet"], ["open"], known)
    assert (zone, draft.notes) == ("UTC", [])
    spans = spans_of(times)
    for day in range(7):
        for minute in range(0, 1440, 15):
            there = a_week([*known["quiet"]], day, minute) or not a_week(
                [*known["open"]], day, minute
            )
            assert any(span.holds(day, minute) for span in spans) is there
