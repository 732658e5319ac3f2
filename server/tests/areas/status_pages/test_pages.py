"""What readers see and send, and the pages on which a status page is made."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import feedparser  # type: ignore[import-untyped]
import pytest
from mainstay_server.areas import status_pages
from mainstay_server.areas.status_pages.models import StatusSubscriber
from mainstay_server.areas.status_pages.schemas.colours import contrast
from mainstay_server.areas.status_pages.service import badges, keeping
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import ServerSettings, of, override_settings
from tests.areas.status_pages.worlds import made_component, made_page, made_report
from tests.world import World

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
PASSWORD = "correct horse"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    override_settings(SmtpSettings(smtp_host="127.0.0.1", smtp_port=25))
    return client_for(status_pages.area)


def test_a_page_has_no_script_and_asks_nobody_else(world: World) -> None:
    page = made_page(world, description="See [us](https://acme.example).")
    made_component(world, page)
    made_report(world, page)

    answer = world.stranger.get("/status/acme")

    assert "<script" not in answer.text
    assert not re.search(r"<(link|img|iframe)[^>]+(src|href)=\"https?:", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_the_same_is_not_sent_twice(world: World) -> None:
    page = made_page(world)
    made_component(world, page)
    first = world.stranger.get("/status/acme", headers={"accept-encoding": "br"})

    again = world.stranger.get(
        "/status/acme",
        headers={"accept-encoding": "br", "if-none-match": first.headers["etag"]},
    )

    assert first.headers["content-encoding"] == "br"
    assert (again.status_code, again.content) == (304, b"")


def test_history_goes_by_month_and_an_incident_has_a_page(world: World) -> None:
    page = made_page(world)
    report = made_report(world, page)

    this_month = world.stranger.get("/status/acme/history")
    by_name = world.stranger.get(f"/status/acme/history/{utc_now():%Y-%m}")
    incident = world.stranger.get(f"/status/acme/incidents/{report['id']}")

    assert "Slow answers" in this_month.text
    assert by_name.text == this_month.text
    assert "<strong>looking</strong>" in incident.text
    for missing in ("history/1999-01", "history/2026-13", "incidents/none", "nothing", "api/v2/x"):
        assert world.stranger.get(f"/status/acme/{missing}").status_code == 404, missing


def test_feeds_are_read_by_feed_readers(world: World) -> None:
    page = made_page(world, name="Acme \x08 & <Sons>")
    made_report(world, page, title="Slow & <b>odd</b>", body="Line \x0b one\n\n* two")

    for name in ("feed.rss", "feed.atom"):
        answer = world.stranger.get(f"/status/acme/{name}")
        found = feedparser.parse(answer.content)
        assert not found.bozo, found.get("bozo_exception")
        assert found.feed.title == "Status of Acme & <Sons>"
        assert found.entries[0].title == "Slow & <b>odd</b>: Investigating"
        assert found.entries[0].link.endswith(page["url"] + "/incidents/" + _report(world, page))
        ET.fromstring(answer.content)  # noqa: S314 - our own


def _report(world: World, page: dict[str, Any]) -> str:
    listed = world.alice.get(f"/api/status-pages/{page['id']}/reports").json()
    return str(listed["reports"][0]["id"])


def test_a_member_only_page_and_one_that_never_was_look_alike(world: World) -> None:
    made_page(world, visibility="members")

    for who in (world.stranger, world.charlie):
        hidden, missing = who.get("/status/acme"), who.get("/status/acma")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace("acme", "acma") == missing.text
        assert who.get("/status/acme/api/v2/summary.json").status_code == 404
        assert who.get("/status/acme/feed.rss").status_code == 404
    assert world.bob.get("/status/acme").status_code == 200
    assert world.bob.get("/status/acme").headers["cache-control"] == "private, no-store"


def test_a_page_for_some_networks_is_for_those_only(world: World) -> None:
    page = made_page(world, visibility="allowlist", networks=["192.0.2.0/24"])
    assert world.stranger.get("/status/acme").status_code == 404

    # The test client comes from an address that is no address, which lies in no network.
    world.alice.patch(f"/api/status-pages/{page['id']}", json={"networks": ["0.0.0.0/0"]})
    keeping.refresh(now=utc_now())
    forged = {"x-forwarded-for": "192.0.2.7"}

    assert world.stranger.get("/status/acme", headers=forged).status_code == 404


def test_a_password_opens_a_page_until_there_is_another(world: World) -> None:
    page = made_page(world, visibility="password", password=PASSWORD)
    asked = world.stranger.get("/status/acme")
    assert asked.status_code == 403
    assert "This page is private" in asked.text
    assert world.stranger.get("/status/acme/api/v2/summary.json").status_code == 404

    wrong = world.stranger.post("/status/acme/enter", data={"password": "wrong horse"})
    right = world.stranger.post("/status/acme/enter", data={"password": PASSWORD})
    cookie = right.headers["set-cookie"]
    seen = world.stranger.get("/status/acme", headers={"cookie": cookie.partition(";")[0]})

    assert wrong.status_code == 403
    assert "That is not the password." in wrong.text
    assert "HttpOnly" in cookie
    assert seen.status_code == 200
    world.alice.patch(f"/api/status-pages/{page['id']}", json={"password": "another horse"})
    keeping.refresh(now=utc_now())
    ended = world.stranger.get("/status/acme", headers={"cookie": cookie.partition(";")[0]})
    assert ended.status_code == 403


def test_passwords_cannot_be_tried_for_ever(world: World) -> None:
    made_page(world, visibility="password", password=PASSWORD)
    override_settings(StatusPageSettings(status_passwords_per_hour=3))

    codes = [
        world.stranger.post("/status/acme/enter", data={"password": f"guess {n}"}).status_code
        for n in range(5)
    ]

    assert codes == [403, 403, 403, 429, 429]


def test_a_cookie_of_one_page_opens_no_other(world: World) -> None:
    made_page(world, visibility="password", password=PASSWORD)
    other = world.alice.post("/api/status-pages", json={"name": "B", "slug": "other"}).json()
    world.alice.patch(
        f"/api/status-pages/{other['id']}",
        json={"published": True, "visibility": "password", "password": PASSWORD},
    )
    entered = world.stranger.post("/status/acme/enter", data={"password": PASSWORD})
    name, _, rest = entered.headers["set-cookie"].partition("=")
    value = rest.partition(";")[0]

    forged = f"mainstay_status_{other['id'][-12:]}={value}"

    assert name == f"mainstay_status_{_id_of(world, 'acme')[-12:]}"
    assert world.stranger.get("/status/other", headers={"cookie": forged}).status_code == 403


def _id_of(world: World, slug: str) -> str:
    listed = world.alice.get("/api/status-pages").json()["statusPages"]
    return next(str(each["id"]) for each in listed if each["slug"] == slug)


def test_badges_are_pictures_json_and_for_shields(world: World) -> None:
    page = made_page(world)
    made_component(world, page, "API & <b>more</b>")
    listed = world.alice.get(f"/api/status-pages/{page['id']}/badges").json()["badges"]

    for badge in listed:
        svg = world.stranger.get(_path(badge["statusSvg"]))
        drawn = ET.fromstring(svg.content)  # noqa: S314 - our own
        assert svg.headers["content-type"] == "image/svg+xml"
        assert drawn.tag.endswith("svg")
        shields = world.stranger.get(_path(badge["statusShields"])).json()
        assert set(shields) == {"schemaVersion", "label", "message", "color", "isError"}
        assert (shields["schemaVersion"], shields["isError"]) == (1, False)
        assert shields["message"]
        assert world.stranger.get(_path(badge["uptimeJson"])).json()["status"]
    for colour in {*badges.COLOURS.values(), badges.LABEL}:
        assert contrast(colour, "#ffffff") >= 4.5, colour


def test_a_badge_that_nobody_was_given_is_not_there(world: World) -> None:
    page = made_page(world)
    (badge,) = world.alice.get(f"/api/status-pages/{page['id']}/badges").json()["badges"]
    path = _path(badge["statusSvg"])
    signature = path.split("/")[4]

    for wrong in (
        path.replace(signature, "A" * len(signature)),
        path.replace(signature, signature[:-1]),
        path.replace("/page/", "/component/"),
        path.replace(".svg", ".png"),
        path.replace("/status.", "/secrets."),
    ):
        assert world.stranger.get(wrong).status_code == 404, wrong


def _path(url: str) -> str:
    return "/status/" + url.partition("/status/")[2]


def test_signing_up_answers_the_same_whoever_is_subscribed(world: World) -> None:
    made_page(world)

    answers = [
        world.stranger.post("/status/acme/subscribe", data={"email": "Ann@Ships.example"})
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text
    assert len(_subscribers()) == 1


@pytest.mark.parametrize(
    "data",
    [{"email": "nobody"}, {"email": "a@b.example, c@d.example"}, {"email": "a@b.example\nBcc: c"}],
)
def test_what_is_no_address_is_refused(world: World, data: dict[str, str]) -> None:
    made_page(world)

    assert world.stranger.post("/status/acme/subscribe", data=data).status_code == 400
    assert _subscribers() == []


def test_webhooks_are_taken_only_where_the_page_says_so(world: World) -> None:
    page = made_page(world)
    data = {"webhook": "https://hooks.example/x"}
    assert world.stranger.post("/status/acme/subscribe", data=data).status_code == 404

    world.alice.patch(f"/api/status-pages/{page['id']}", json={"takesWebhooks": True})
    keeping.refresh(now=utc_now())
    taken = world.stranger.post("/status/acme/subscribe", data=data)

    assert "whsec_" in taken.text
    for odd in ("ftp://x.example", "https://user:pass@x.example", "javascript:alert(1)"):
        refused = world.stranger.post("/status/acme/subscribe", data={"webhook": odd})
        assert refused.status_code == 400, odd


def test_one_network_cannot_sign_up_the_world(world: World) -> None:
    made_page(world)
    override_settings(StatusPageSettings(status_sign_ups_per_hour=3))

    codes = [
        world.stranger.post(
            "/status/acme/subscribe", data={"email": f"a{n}@ships.example"}
        ).status_code
        for n in range(5)
    ]

    assert codes == [200, 200, 200, 429, 429]
    assert len(_subscribers()) == 3


def test_another_site_cannot_sign_its_visitors_up(world: World) -> None:
    made_page(world)

    answer = world.stranger.post(
        "/status/acme/subscribe",
        data={"email": "a@ships.example"},
        headers={"sec-fetch-site": "cross-site"},
    )

    assert answer.status_code == 403


def test_a_page_at_its_own_host_is_all_there_is_of_the_server(world: World) -> None:
    override_settings(of(ServerSettings).model_copy(update={"base_url": "http://mainstay.test"}))
    page = made_page(world, host="status.acme.example")
    report = made_report(world, page)
    keeping.refresh(now=utc_now())
    here = {"host": "Status.Acme.Example:443"}

    shown = world.stranger.get("/", headers=here)

    assert shown.status_code == 200
    assert "Slow answers" in shown.text
    assert f'href="/incidents/{report["id"]}"' in shown.text
    assert 'action="/subscribe"' in shown.text
    assert world.stranger.get(f"/incidents/{report['id']}", headers=here).status_code == 200
    assert world.stranger.get("/api/v2/summary.json", headers=here).json()["page"]["url"] == (
        "https://status.acme.example"
    )
    signed_up = world.stranger.post("/subscribe", data={"email": "a@b.example"}, headers=here)
    assert signed_up.status_code == 200
    for path in ("/login", "/dashboard", "/api/projects", "/healthz", "/status/acme", "/assets/x"):
        assert world.alice.get(path, headers=here).status_code == 404, path
    assert world.stranger.get("/status/acme").status_code == 200


def test_a_logo_is_a_small_picture_without_scripts(world: World) -> None:
    page = made_page(world)
    path = f"/dashboard/status-pages/{page['id']}/logo"

    world.alice.post(path, files={"file": ("logo.png", PNG, "image/png")})
    keeping.refresh(now=utc_now())
    shown = world.stranger.get("/status/acme").text
    (source,) = re.findall(r'<img class="logo" src="([^"]+)"', shown)
    served = world.stranger.get(source)

    assert (served.content, served.headers["content-type"]) == (PNG, "image/png")
    assert served.headers["content-security-policy"] == "default-src 'none'; sandbox"
    for bad in (b"<svg onload=alert(1)>", PNG + b"\0" * 200_000, b""):
        world.alice.post(path, files={"file": ("logo.png", bad, "image/png")})
        keeping.refresh(now=utc_now())
        assert world.stranger.get(source).content == PNG


def test_the_dashboard_makes_a_page_with_all_that_belongs_to_it(world: World) -> None:
    made = world.alice.post("/dashboard/status-pages", data={"name": "Acme", "slug": ""})
    one = made.headers["location"]
    world.bob.post(f"{one}/groups", data={"name": "Shop"})
    world.bob.post(f"{one}/components", data={"name": "API"})
    world.bob.post(f"{one}/components", data={"name": "Mail"})
    listed = world.alice.get(f"/api/status-pages/{one.rpartition('/')[2]}/components").json()
    mail = listed["components"][1]["id"]
    world.bob.post(f"{one}/components/{mail}/move", data={"by": "-1"})
    world.bob.post(
        f"{one}/reports",
        data={"title": "Slow", "impact": "major", "component": mail, "notify": "on"},
    )
    world.bob.post(
        f"{one}/maintenances",
        data={"title": "Disks", "starts_at": "2099-01-01T02:00", "ends_at": "2099-01-01T03:00"},
    )
    world.alice.post(f"{one}/publish", data={"published": "on"})

    shown = world.stranger.get("/status/acme").text

    assert shown.index("<h3>Mail</h3>") < shown.index("<h3>API</h3>")
    assert "Partial outage" in shown
    assert "Disks" in shown
    for tab in ("", "/reports", "/badges", "/subscribers", "/settings", "/preview"):
        assert world.alice.get(f"{one}{tab}").status_code == 200, tab
    assert "Acme" in world.alice.get("/dashboard/status-pages?q=acm").text
    assert "Acme" in world.bob.get(f"/dashboard/projects/{world.project}/status-pages").text


def test_settings_are_kept_and_an_empty_password_changes_none(world: World) -> None:
    page = made_page(world)
    one = f"/dashboard/status-pages/{page['id']}"
    form = {
        "name": "Acme",
        "slug": "acme",
        "visibility": "password",
        "password": PASSWORD,
        "networks": "10.0.0.0/8, 192.0.2.1",
        "language": "de",
        "time_zone": "Europe/Berlin",
        "theme": "dark",
        "accent": "#2360c4",
        "auto_report_minutes": "5",
        "takes_emails": "on",
    }

    world.alice.post(f"{one}/settings", data=form)
    world.alice.post(f"{one}/settings", data={**form, "password": "", "language": "en"})

    kept = world.alice.get(f"/api/status-pages/{page['id']}").json()
    assert (kept["language"], kept["hasPassword"], kept["takesEmails"]) == ("en", True, True)
    assert kept["networks"] == ["10.0.0.0/8", "192.0.2.1/32"]
    assert kept["showsUptime"] is False


def test_a_preview_changes_nothing_and_may_stand_in_our_own_frame_only(world: World) -> None:
    page = made_page(world)
    one = f"/dashboard/status-pages/{page['id']}"

    shown = world.alice.get(f"{one}/preview?name=Other&accent=%23c81e3a&theme=dark&language=de")

    assert "Other" in shown.text
    assert "--accent:#c81e3a" in shown.text
    assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
    assert world.alice.get(f"/api/status-pages/{page['id']}").json()["name"] == "Acme"
    assert world.charlie.get(f"{one}/preview").status_code == 404


def test_a_page_is_removed_only_by_who_types_its_path(world: World) -> None:
    page = made_page(world)
    path = f"/dashboard/status-pages/{page['id']}/remove"

    world.alice.post(path, data={"slug": "other"})
    assert world.alice.get(f"/api/status-pages/{page['id']}").status_code == 200
    world.alice.post(path, data={"slug": "acme"})

    assert world.alice.get(f"/api/status-pages/{page['id']}").status_code == 404


def _subscribers() -> list[str]:
    with reading() as session:
        return [each.address for each in session.query(StatusSubscriber).all()]
