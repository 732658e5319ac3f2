"""The pages: what people read of keys, what their buttons do, and that a key is shown once."""

import re
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.api_keys.models import ApiKey, Status
from mainstay_server.areas.api_keys.pages import asking, frame
from mainstay_server.areas.api_keys.service import asking as settings_of
from mainstay_server.areas.api_keys.service import keys, leaks, listing
from mainstay_server.areas.api_keys.service.leaks import Finding
from mainstay_server.contracts.guard import KeyUse, use_of_keys
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.problems import Invalid
from tests.areas.api_keys.conftest import DAY, a_key
from tests.world import Browser, World

SHOWN_KEY = re.compile(r"mst_production_api_[0-9A-Za-z]{38}")


def url(world: World, rest: str = "") -> str:
    return f"/dashboard/projects/{world.project}/api-keys{rest}"


def made(world: World, **wanted: Any) -> tuple[str, str]:
    """A key, as its id and itself."""
    with transaction() as session:
        row, key = a_key(session, world.instance, now=utc_now(), **wanted)
    return row.id, key


def stored(world: World) -> list[ApiKey]:
    with reading() as session:
        page = listing.list_keys(session, world.instance.id, listing.KeyFilter(), now=utc_now())
    return list(page.items)


def post(who: Browser, path: str, **form: str) -> Any:
    return who.post(path, data=form)


def test_without_keys_the_page_says_what_they_are_for_and_how_to_make_one(world: World) -> None:
    page = world.bob.get(url(world)).text

    assert "No API key yet" in page
    assert world.instance.id in page, "the snippet is this instance's own"
    assert "No API key yet" in world.bob.get(f"/dashboard/projects/{world.project}/security").text


def test_a_key_made_on_the_page_is_shown_once(world: World) -> None:
    answer = post(
        world.bob,
        url(world),
        instance_id=world.instance.id,
        name="billing service",
        owner="acme",
        scopes="insight:read, insight:write",
        networks="203.0.113.7\n10.0.0.0/8",
        limits="100/minute, 5000/day",
        life="30",
    )

    assert answer.status_code == 200
    (shown,) = set(SHOWN_KEY.findall(answer.text))
    (key,) = stored(world)
    assert key.scopes == ["insight:read", "insight:write"]
    assert key.networks == ["203.0.113.7/32", "10.0.0.0/8"]
    assert key.limits == [
        {"quota": 100, "windowSeconds": 60},
        {"quota": 5000, "windowSeconds": 86_400},
    ]
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == 30 * DAY
    for page in (url(world), url(world, f"/{key.id}")):
        found = world.bob.get(page).text
        assert shown not in found
        assert "billing service" in found


@pytest.mark.parametrize(
    "form",
    [
        {"name": ""},
        {"name": "x", "scopes": "everything"},
        {"name": "x", "networks": "anywhere"},
        {"name": "x", "limits": "a lot"},
        {"name": "x", "life": "31"},
        {"name": "x" * 101},
    ],
)
def test_what_makes_no_sense_leads_back_with_the_reason(world: World, form: dict[str, str]) -> None:
    answer = post(world.bob, url(world), instance_id=world.instance.id, **form)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(url(world))
    assert "mainstay_flash" in answer.headers["set-cookie"]
    assert stored(world) == []


def test_keys_are_found_by_what_people_know_of_them(world: World) -> None:
    made(world, name="billing service", owner="acme")
    revoked, _ = made(world, name="reports")
    with transaction() as session:
        keys.revoke_key(session, world.instance, revoked, now=utc_now())

    assert "reports" not in world.bob.get(url(world, "?q=acme")).text
    page = world.bob.get(url(world, "?status=revoked")).text.split("<dialog")[0]
    assert "reports" in page
    assert "billing service" not in page
    assert "Nothing matches" in world.bob.get(url(world, "?q=nobody")).text
    assert world.bob.get(url(world, "?status=nonsense&cursor=strange")).status_code == 400


def test_five_hundred_keys_come_fifty_at_a_time(world: World) -> None:
    with transaction() as session:
        for number in range(500):
            a_key(
                session, world.instance, now=utc_now(), name=f"key {number:03}", owner=f"o{number}"
            )

    page = world.bob.get(url(world)).text
    assert page.count("<tr>") == 51
    assert "key 499" in page
    assert "All 500" in page
    older = re.search(r'href="([^"]+cursor=[^"]+)"', page)
    assert older is not None
    assert "key 449" in world.bob.get(older[1].replace("&amp;", "&")).text


def test_rotating_shows_the_new_key_once_and_says_when_the_old_one_ends(world: World) -> None:
    key_id, old_key = made(world)

    answer = post(world.bob, url(world, f"/{key_id}/rotate"), grace="24")

    assert answer.status_code == 200
    (shown,) = set(SHOWN_KEY.findall(answer.text))
    assert shown != old_key
    assert "in 23 h" in answer.text or "in 1 d" in answer.text
    page = world.bob.get(url(world, f"/{key_id}")).text
    assert "Retire now" in page
    assert page.count(">Rotations<") == 1
    assert "Rotate " not in re.sub(r"<dialog.*?</dialog>", "", page, flags=re.DOTALL)
    again = post(world.bob, url(world, f"/{key_id}/rotate"), grace="24")
    assert again.status_code == 303
    assert post(world.bob, url(world, f"/{key_id}/rotate"), grace="9").status_code == 303


def test_changing_and_revoking_do_what_they_say(world: World) -> None:
    key_id, _ = made(world, expires_at=utc_now() + DAY)
    form = {"name": "renamed", "scopes": "a:b", "limits": "5/90s", "enabled": "on"}

    assert post(world.bob, url(world, f"/{key_id}/change"), **form).status_code == 303
    (key,) = stored(world)
    assert (key.name, key.scopes, key.enabled) == ("renamed", ["a:b"], True)
    assert key.limits == [{"quota": 5, "windowSeconds": 90}]
    assert key.expires_at is not None, "the end stays unless another is chosen"
    post(world.bob, url(world, f"/{key_id}/change"), name="renamed", life="never")
    assert (stored(world)[0].expires_at, stored(world)[0].enabled) == (None, False)
    assert post(world.bob, url(world, f"/{key_id}/revoke")).status_code == 303
    assert stored(world)[0].status_at(utc_now()) is Status.REVOKED
    assert "Change" not in world.bob.get(url(world, f"/{key_id}")).text.split("<dialog")[0]


def test_the_page_of_a_key_shows_who_uses_it(world: World) -> None:
    key_id, _ = made(world, metadata={"contract": "2026-117"})
    uses = [
        KeyUse(
            key_id=key_id,
            route="/api/insights",
            method="GET",
            address=f"203.0.113.{number}",
            total=10,
            refused=1,
            last_at=utc_now() - timedelta(minutes=5),
        )
        for number in range(30)
    ]
    assert "Not used in this time" in world.bob.get(url(world, f"/{key_id}")).text

    def answer(instance_id: str, *, key_ids: object, since: object, until: object) -> list[KeyUse]:
        return uses

    install_answers((use_of_keys.answered_by(answer),))
    try:
        page = world.bob.get(url(world, f"/{key_id}")).text
    finally:
        use_of_keys.answer = None
    assert "GET /api/insights" in page
    assert "203.0.113.19" in page
    assert "And 10 others" in page
    assert "2026-117" in page


def test_the_panel_names_what_needs_somebody(world: World) -> None:
    now = utc_now()
    with transaction() as session:
        old, _ = a_key(session, world.instance, now=now - 91 * DAY, name="too old")
        a_key(session, world.instance, now=now, name="ends", expires_at=now + DAY)
        _, leaked = a_key(session, world.instance, now=now, name="leaked")
        found = leaks.fingerprints_of([Finding(token=leaked, url="https://code.example/")])
        leaks.revoke_leaked(session, found, now=now)

    panel = world.bob.get(f"/dashboard/projects/{world.project}/panels/api-keys").text

    for name, why in (
        ("too old", "older than 90 days"),
        ("ends", "ends without a successor"),
        ("leaked", "found in public, revoked"),
    ):
        assert name in panel
        assert why in panel
    assert f"/api-keys/{old.id}?instance=production" in panel


def test_admins_say_what_asks_for_keys_and_members_read_it(world: World) -> None:
    path = url(world, f"/paths/{world.instance.id}")
    form = {
        "required": "/api/*\r\n/internal",
        "public": "/api/health",
        "rules": "POST PUT /api/insights insight:write\r\n\r\n/api/reports report:read",
        "most_per_owner": "7",
        "rotate_after_days": "30",
    }

    assert post(world.bob, path, **form).status_code == 403
    assert post(world.alice, path, **form).status_code == 303
    with reading() as session:
        row = settings_of.find_settings(session, world.instance.id)
    assert row.required == ["/api/*", "/internal"]
    assert row.scopes == [
        {"methods": ["POST", "PUT"], "paths": ["/api/insights"], "scopes": ["insight:write"]},
        {"methods": [], "paths": ["/api/reports"], "scopes": ["report:read"]},
    ]
    assert (row.most_per_owner, row.rotate_after_days) == (7, 30)
    assert "<textarea" in world.alice.get(url(world, "/paths")).text
    members = world.bob.get(url(world, "/paths")).text
    assert "<textarea" not in members
    assert "POST PUT /api/insights insight:write" in members
    refused = post(world.alice, path, **{**form, "rules": "POST insight:write"})
    assert refused.status_code == 303
    assert post(world.alice, path, **{**form, "most_per_owner": "many"}).status_code == 303


def test_charlie_and_strangers_see_no_page_and_no_key(world: World) -> None:
    key_id, _ = made(world)
    for page in ("", "/paths", f"/{key_id}"):
        assert world.charlie.get(url(world, page)).status_code == 404
        assert world.stranger.get(url(world, page)).status_code in (303, 401)
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/api-keys"
    assert world.charlie.get(f"{theirs}/{key_id}").status_code == 404
    assert post(world.charlie, f"{theirs}/{key_id}/revoke").status_code == 404
    form = {"instance_id": world.instance.id, "name": "mine"}
    assert post(world.charlie, theirs, **form).status_code == 404
    assert [key.revoked_at for key in stored(world)] == [None]


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", []),
        ("100/minute", [(100, 60)]),
        ("5 per 10 minutes; 9/day", [(5, 600), (9, 86_400)]),
        ("3 an hour", [(3, 3600)]),
        ("1/s", [(1, 1)]),
    ],
)
def test_limits_are_read_as_people_write_them(text: str, limits: list[tuple[int, int]]) -> None:
    found = [(limit["quota"], limit["windowSeconds"]) for limit in frame.limits_of(text)]

    assert found == limits
    again = frame.limits_of(frame.limits_in_words(frame.limits_of(text)))
    assert [(limit["quota"], limit["windowSeconds"]) for limit in again] == limits


@pytest.mark.parametrize("text", ["100", "/minute", "x/minute", "5/fortnight"])
def test_limits_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="limits has"):
        frame.limits_of(text)


@pytest.mark.parametrize("line", ["POST /a", "a:b", "POST"])
def test_a_rule_without_a_path_or_a_scope_is_refused(line: str) -> None:
    with pytest.raises(Invalid, match="needs a path and a scope"):
        asking.rule_of(line)
