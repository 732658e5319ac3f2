"""Healthchecks' pings, answered word for word, whatever form their address has."""

from datetime import timedelta
from uuid import uuid4

import httpx2 as httpx
import pytest
from mainstay_server.areas.heartbeats.models import (
    Heartbeat,
    HeartbeatKey,
    HeartbeatPing,
    KeyKind,
)
from mainstay_server.areas.heartbeats.service import keys
from mainstay_server.areas.heartbeats.service.making import ensure_ping_key, make_heartbeat
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.watching import State
from mainstay_server.tenancy.service.environments import see_environment
from sqlalchemy import select
from sqlalchemy.orm import undefer
from tests.world import World

NOW = utc_now()


def a_beat(world: World, **values: object) -> Heartbeat:
    """A nightly backup of Alice's instance."""
    given = {"name": "Nightly backup", "slug": "nightly-backup"} | values
    with transaction() as session:
        return make_heartbeat(session, world.instance, given, now=NOW)


def a_key(world: World) -> str:
    with transaction() as session:
        return ensure_ping_key(session, world.instance, now=NOW)


def ping(world: World, path: str, method: str = "GET", **options: object) -> httpx.Response:
    return world.stranger.request(method, f"/ping/{path}", **options)


def pings_of(beat: Heartbeat) -> list[HeartbeatPing]:
    with reading() as session:
        rows = session.scalars(
            select(HeartbeatPing)
            .where(HeartbeatPing.heartbeat_id == beat.id)
            .order_by(HeartbeatPing.number)
            .options(undefer(HeartbeatPing.body))
        )
        return list(rows)


def now_of(beat: Heartbeat) -> Heartbeat:
    with reading() as session:
        return session.get_one(Heartbeat, beat.id)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_each_method_reports_a_success(world: World, method: str) -> None:
    beat = a_beat(world)

    answer = ping(world, beat.ping_id, method)

    assert answer.status_code == 200
    assert answer.text == ("" if method == "HEAD" else "OK")
    assert answer.headers["ping-body-limit"] == "10000"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert now_of(beat).state == State.HEALTHY
    (kept,) = pings_of(beat)
    assert (kept.method, kept.signal, kept.number) == (method, "success", 1)


@pytest.mark.parametrize(
    ("word", "signal", "exit_status"),
    [
        ("", "success", None),
        ("/", "success", None),
        ("/start", "start", None),
        ("/fail", "fail", None),
        ("/log", "log", None),
        ("/0", "success", 0),
        ("/1", "fail", 1),
        ("/255", "fail", 255),
    ],
)
def test_every_form_of_the_address_says_what_it_means(
    world: World, word: str, signal: str, exit_status: int | None
) -> None:
    beat, key = a_beat(world), a_key(world)

    for address in (beat.ping_id, f"{key}/nightly-backup"):
        assert ping(world, address + word).text == "OK"

    assert [(p.signal, p.exit_status) for p in pings_of(beat)] == [(signal, exit_status)] * 2


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("{uuid}/256", 400, "invalid url format"),
        ("{uuid}/-1", 400, "invalid url format"),
        ("{uuid}/started", 400, "invalid url format"),
        ("{uuid}/start/fail", 400, "invalid url format"),
        ("{key}/Nightly-Backup", 400, "invalid url format"),
        ("{key}/nightly-backup/256", 400, "invalid url format"),
        ("nonsense", 400, "invalid url format"),
        ("{uuid}?rid=nonsense", 400, "invalid uuid format"),
        ("00000000-0000-4000-8000-000000000000", 404, "not found"),
        ("{key}/another-name", 404, "not found"),
        ("unknownkeyunknownkey12/nightly-backup", 404, "not found"),
    ],
)
def test_what_is_no_address_is_refused_in_their_words(
    world: World, path: str, status: int, text: str
) -> None:
    beat, key = a_beat(world), a_key(world)

    answer = ping(world, path.format(uuid=beat.ping_id, key=key))

    assert (answer.status_code, answer.text) == (status, text)
    assert pings_of(beat) == []


def test_a_name_that_nobody_knows_is_made_when_the_ping_asks(world: World) -> None:
    key = a_key(world)

    first = ping(world, f"{key}/weekly-report?create=1")
    second = ping(world, f"{key}/weekly-report?create=1")

    assert (first.status_code, first.text) == (201, "Created")
    assert (second.status_code, second.text) == (200, "OK")
    with reading() as session:
        made = session.scalars(select(Heartbeat).where(Heartbeat.slug == "weekly-report")).one()
    assert (made.instance_id, made.name, made.pings_count) == (
        world.instance.id,
        "weekly-report",
        2,
    )
    assert (made.period_seconds, made.grace_seconds) == (86_400, 3_600)


def test_a_key_of_the_whole_project_does_not_guess_between_two(world: World) -> None:
    a_beat(world)
    with transaction() as session:
        staging = see_environment(session, world.instance.project_id, "staging", now=NOW)
        make_heartbeat(session, staging, {"name": "x", "slug": "nightly-backup"}, now=NOW)
        key = keys.create_key(
            session,
            world.instance,
            kind=KeyKind.PING,
            name="all",
            whole_project=True,
            now=NOW,
        ).text

    answer = ping(world, f"{key}/nightly-backup")

    assert (answer.status_code, answer.text) == (409, "ambiguous slug")


def test_a_removed_key_opens_nothing(world: World) -> None:
    beat, key = a_beat(world), a_key(world)
    with transaction() as session:
        row = session.scalars(select(HeartbeatKey).where(HeartbeatKey.ping_key == key)).one()
        keys.remove_key(session, world.instance, row.id, now=NOW)

    assert ping(world, f"{key}/nightly-backup").status_code == 404
    assert pings_of(beat) == []


def test_a_body_is_kept_up_to_ten_thousand_bytes(world: World) -> None:
    beat = a_beat(world)
    ping(world, beat.ping_id, "POST", content=b"x" * 10_001, headers={"user-agent": "y" * 300})

    (kept,) = pings_of(beat)
    assert (kept.body, kept.body_bytes, kept.client) == (b"x" * 10_000, 10_000, "y" * 200)


def test_a_run_id_ties_an_end_to_its_start(world: World) -> None:
    beat, run = a_beat(world), str(uuid4())
    ping(world, f"{beat.ping_id}/start?rid={run}")
    ping(world, f"{beat.ping_id}?rid={run}")

    started, ended = pings_of(beat)
    assert (started.run_id, ended.run_id) == (run, run)
    assert ended.duration_ms is not None
    assert timedelta(milliseconds=ended.duration_ms) < timedelta(minutes=5)


def test_an_end_that_is_sent_again_is_taken_once_and_as_long_as_it_was(world: World) -> None:
    beat, run = a_beat(world), str(uuid4())
    ping(world, f"{beat.ping_id}/start?rid={run}")

    for late in (0, 0, 90):
        assert ping(world, f"{beat.ping_id}/7?rid={run}&late={late}").status_code == 200
    assert [each.signal for each in pings_of(beat)] == ["start", "fail"]
    again = str(uuid4())
    assert ping(world, f"{beat.ping_id}/0?rid={again}&late=x").status_code == 400
    assert ping(world, f"{beat.ping_id}?late=5").status_code == 200, "nothing but a run is known"
    assert len(pings_of(beat)) == 3


def test_a_late_end_decides_nothing_when_a_later_run_has_ended(world: World) -> None:
    beat, earlier, later = a_beat(world), str(uuid4()), str(uuid4())
    ping(world, f"{beat.ping_id}/0?rid={later}")

    ping(world, f"{beat.ping_id}/3?rid={earlier}&late=3600")
    ping(world, f"{beat.ping_id}/3?rid={earlier}&late=3601")

    assert [(each.signal, each.exit_status) for each in pings_of(beat)] == [
        ("success", 0),
        ("log", 3),
    ]
    with reading() as session:
        assert session.get_one(Heartbeat, beat.id).state == State.HEALTHY


def test_a_page_of_any_origin_may_report(world: World) -> None:
    beat = a_beat(world)

    answer = ping(world, beat.ping_id, "OPTIONS")

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert pings_of(beat) == []


def test_only_the_latest_reports_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay_server.areas.heartbeats.service.recording.PRUNE_EVERY", 1)
    beat = a_beat(world)
    with transaction() as session:
        session.get_one(Heartbeat, beat.id).pings_count = 1000
    for _ in range(502):
        ping(world, beat.ping_id)

    numbers = [p.number for p in pings_of(beat)]
    assert numbers == list(range(1003, 1503))


def test_words_in_a_posted_body_decide_where_that_is_wished(world: World) -> None:
    beat = a_beat(world, filter_http_body=True, failure_words="error, fatal", success_words="done")
    for body in (b"All done", b"done, but one ERROR", b"nothing known"):
        ping(world, beat.ping_id, "POST", content=body)

    assert [p.signal for p in pings_of(beat)] == ["success", "fail", "ign"]


@pytest.mark.parametrize("status", ["0000" + "9" * 30, "9" * 5_000, "0" * 20, "256", "٣"])
def test_an_exit_status_that_none_can_be_hinders_no_other_report(world: World, status: str) -> None:
    beat = a_beat(world)

    answer = ping(world, f"{beat.ping_id}/{status}")

    assert (answer.status_code, answer.text) == (400, "invalid url format")
    assert ping(world, f"{beat.ping_id}/0003").status_code == 200
    assert [one.exit_status for one in pings_of(beat)] == [3]
