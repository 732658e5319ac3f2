"""The list of a project's health checks: what it shows, finds, sorts and does to many at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.service import checks, listing
from mainstay_server.contracts.maintenance import (
    MaintenanceWindow,
    Scope,
    Window,
    list_windows,
    windows_over,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.watching import State, change_state
from sqlalchemy.orm import Session
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def base_of(world: World) -> str:
    return f"/dashboard/projects/{world.project}/health-checks"


def add(
    session: Session,
    world: World,
    name: str,
    *,
    tags: tuple[str, ...] = (),
    state: State = State.HEALTHY,
    reason: str = "",
) -> HealthCheck:
    """A check that was made a day ago and has been in a state for the last hour."""
    now = utc_now()
    wanted = NewHealthCheck(url=f"https://{name}.example/health", name=name, tags=list(tags))
    check = checks.add_check(session, world.instance, wanted, now=now - timedelta(days=1))
    change_state(session, check, State.HEALTHY, at=now - timedelta(hours=23))
    if state != State.HEALTHY:
        change_state(session, check, state, at=now - timedelta(hours=1), reason=reason)
    check.watched_until, check.silent_at = now, now + timedelta(hours=1)
    session.flush()
    return check


@contextmanager
def counting_statements() -> Iterator[list[str]]:
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        told.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_without_a_check_it_says_how_to_make_the_first(world: World) -> None:
    page = world.bob.get(base_of(world)).text

    assert "Nobody is watching" in page
    assert f"/api/instances/{world.instance.id}/health-checks" in page


def test_it_shows_each_check_with_how_it_did_those_in_trouble_first(world: World) -> None:
    with transaction() as session:
        add(session, world, "blog")
        add(session, world, "shop", state=State.UNHEALTHY, reason="answered 503")

    page = world.bob.get(base_of(world)).text

    assert page.index(">shop</a>") < page.index(">blog</a>")
    assert "answered 503" in page
    assert "https://shop.example/health" in page
    assert "95.65 %" in page, "an hour of the 23 that were watched"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"blog", "shop", "mail"}),
        ("?q=SHOP", {"shop"}),
        ("?q=shop.example", {"shop"}),
        ("?q=503", {"shop"}),
        ("?q=100%25", set()),
        ("?state=unhealthy", {"shop"}),
        ("?state=nonsense", {"blog", "shop", "mail"}),
        ("?tag=eu", {"blog", "mail"}),
        ("?tag=e", set()),
        ("?kind=tcp", set()),
        ("?kind=http&q=example&tag=eu", {"blog", "mail"}),
        ("?environment=production", {"blog", "shop", "mail"}),
        ("?page=99", {"blog", "shop", "mail"}),
        ("?page=-1&sort=name", {"blog", "shop", "mail"}),
    ],
)
def test_it_is_narrowed_by_words_state_kind_tag_and_environment(
    world: World, query: str, found: set[str]
) -> None:
    with transaction() as session:
        add(session, world, "blog", tags=("eu", "us"))
        add(session, world, "mail", tags=("eu",))
        add(session, world, "shop", state=State.UNHEALTHY, reason="answered 503")

    page = world.bob.get(base_of(world) + query).text

    assert {name for name in ("blog", "shop", "mail") if f">{name}</a>" in page} == found


def test_a_page_holds_fifty_and_costs_no_more_with_many(world: World) -> None:
    with transaction() as session:
        for number in range(55):
            add(session, world, f"shop-{number:03}")
    world.bob.get(base_of(world))

    with counting_statements() as first:
        page = world.bob.get(base_of(world) + "?sort=name").text
    with transaction() as session:
        for number in range(55, 160):
            add(session, world, f"shop-{number:03}")
    with counting_statements() as second:
        last = world.bob.get(base_of(world) + "?sort=name&page=4").text

    assert page.count('name="check"') == 50
    assert "page 1 of 2" in page
    assert last.count('name="check"') == 10
    assert len(second) <= len(first)


def test_many_are_paused_resumed_and_tagged_at_once(world: World) -> None:
    with transaction() as session:
        ids = [add(session, world, name).id for name in ("blog", "shop", "mail")]

    def act(action: str, *chosen: str, tag: str = "") -> str:
        data = {"action": action, "check": list(chosen), "tag": tag}
        answer = world.bob.post(f"{base_of(world)}/bulk?q=x", data=data)
        assert answer.headers["location"] == f"{base_of(world)}?q=x"
        return answer.headers["set-cookie"]

    act("pause", ids[0], ids[1])
    act("tag", ids[1], ids[2], tag="eu")
    act("tag", ids[2], tag="us")
    act("untag", ids[2], tag="eu")
    act("resume", ids[0])

    with reading() as session:
        stood = {check.id: check for check in session.scalars(sa.select(HealthCheck))}
    assert [stood[one].paused for one in ids] == [False, True, False]
    assert [stood[one].tags for one in ids] == [[], ["eu"], ["us"]]


def test_nothing_ticked_or_an_unknown_action_changes_nothing(world: World) -> None:
    with transaction() as session:
        check = add(session, world, "shop").id

    for data in ({"action": "pause"}, {"action": "explode", "check": [check]}):
        assert world.bob.post(f"{base_of(world)}/bulk", data=data).status_code == 303

    with reading() as session:
        assert not session.get_one(HealthCheck, check).paused


def test_checks_of_others_are_neither_seen_nor_acted_on(world: World) -> None:
    with transaction() as session:
        ours = add(session, world, "shop").id
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/health-checks"

    assert world.charlie.get(base_of(world)).status_code == 404
    pausing = {"action": "pause", "check": [ours]}
    assert world.charlie.post(f"{base_of(world)}/bulk", data=pausing).status_code == 404
    assert world.charlie.post(f"{theirs}/bulk", data=pausing).status_code == 303
    with reading() as session:
        assert not session.get_one(HealthCheck, ours).paused
        assert listing.get_checks(session, world.charlies_instance.project_id, [ours]) == []


def test_a_page_of_many_takes_hardly_more_statements_than_one_of_few(world: World) -> None:
    def cost(text: str, shown: int) -> int:
        with counting_statements() as told:
            page = world.bob.get(f"{base_of(world)}?q={text}").text
        assert page.count('name="check"') == shown
        return len(told)

    with transaction() as session:
        for number in range(50):
            add(session, world, f"shop-{number:03}")
    answers = (list_windows.answered_by(no_windows), windows_over.answered_by(no_window_over))
    install_answers(answers)
    world.bob.get(base_of(world))

    few, many = cost("shop-00", 10), cost("shop", 50)

    assert many - few <= 4, "spells of a day are read for ten at a time, all else for all"


def test_maintenance_of_some_is_taken_out_of_theirs_alone(world: World) -> None:
    """The hour in which `shop` was down was planned, twice over; that of `blog` was not."""
    now = utc_now()
    with transaction() as session:
        for name, tags in (("shop", ("eu",)), ("blog", ())):
            add(session, world, name, tags=tags, state=State.UNHEALTHY)
    planned = [
        a_window(now - timedelta(minutes=minutes), now + timedelta(hours=1)) for minutes in (65, 30)
    ]

    def list_planned(session: Session, project_id: str, **_: object) -> list[MaintenanceWindow]:
        return planned

    install_answers((list_windows.answered_by(list_planned),))
    page = world.bob.get(base_of(world)).text

    rows = {name: page[page.index(f">{name}</a>") :].partition("</tr>")[0] for name in NAMES}
    assert rows["shop"].count(">100 %<") == 2
    assert rows["blog"].count(">95.65 %<") == 2


NAMES = ("shop", "blog")


def a_window(started_at: datetime, ended_at: datetime) -> MaintenanceWindow:
    return MaintenanceWindow(
        id=f"m-{started_at}",
        maintenance_id="m",
        name="Move",
        description="",
        status="active",
        started_at=started_at,
        ended_at=ended_at,
        scope=Scope(tags=frozenset({"eu"})),
    )


def no_windows(session: Session, project_id: str, **_: object) -> list[MaintenanceWindow]:
    session.execute(sa.text("SELECT 1"))
    return []


def no_window_over(session: Session, *_: object, **__: object) -> list[Window]:
    session.execute(sa.text("SELECT 1"))
    return []
