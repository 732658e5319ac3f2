"""Pages: empty, filled and refused; each for those who may; mails in frames that reach nobody."""

import json

import pytest
from mainstay_server.areas.email.schemas.api import A_TEMPLATE
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from tests.areas.email.conftest import A_MAIL, ANN, delivered, sent
from tests.servers.smtp import SmtpServer
from tests.world import World


@pytest.fixture
def base(world: World) -> str:
    return f"/dashboard/projects/{world.project}/email"


def a_form(**changes: str) -> dict[str, str]:
    given = {name: A_TEMPLATE[name] for name in ("kind", "subject", "html", "text")}
    return {**given, "example": json.dumps(A_TEMPLATE["example"]), "name": "order_paid", **changes}


def test_an_empty_page_shows_how_to_send_and_what_is_not_set_up(world: World, base: str) -> None:
    page = world.bob.get(base).text
    assert "/api/emails" in page
    assert "Idempotency-Key" in page
    assert "MAINSTAY_SMTP_HOST" not in page
    override_settings(SmtpSettings())
    assert "MAINSTAY_SMTP_HOST" in world.bob.get(base).text


def test_what_did_not_get_through_stands_on_top_with_its_reason(
    world: World, smtp: SmtpServer, base: str
) -> None:
    smtp.refuse_recipient(ANN, "550 5.1.1 unknown")
    sent(world, to=[ANN, "bea@example.com"])
    delivered()
    page = world.bob.get(base).text
    assert "What did not get through" in page
    assert "550 5.1.1 unknown" in page
    assert "bea@example.com" not in world.bob.get(f"{base}?state=bounced").text.split("Mails")[-1]
    assert "Nothing matches" in world.bob.get(f"{base}?q=nobody").text


def test_a_mail_is_seen_in_a_frame_that_runs_nothing_and_loads_nothing(
    world: World, base: str
) -> None:
    one = sent(world)["id"]
    page = world.bob.get(f"{base}/{one}")
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "Inspection of Floor 1" in page.text
    frame = world.bob.get(f"{base}/{one}/html")
    policy = frame.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    for below in ("", "/html"):
        assert world.charlie.get(f"{base}/{one}{below}").status_code == 404
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/email/{one}"
    assert world.charlie.get(theirs).status_code == 404


def test_a_template_is_tried_kept_changed_and_removed(world: World, base: str) -> None:
    preview = world.bob.post(f"{base}/templates/preview", data=a_form())
    assert "Your order 1042" in preview.text
    assert "sandbox" in preview.headers["content-security-policy"]
    broken = world.bob.post(f"{base}/templates/preview", data=a_form(html="{{ nothing }}"))
    assert "is undefined" in broken.text
    assert world.bob.post(f"{base}/templates", data=a_form(is_new="1")).status_code == 303
    assert "order_paid" in world.bob.get(f"{base}/templates").text
    assert world.bob.get(f"{base}/templates/order_paid/preview").status_code == 200
    taken = world.bob.post(f"{base}/templates", data=a_form(is_new="1"))
    assert taken.status_code == 409
    assert "choose another" in taken.text
    changed = world.bob.post(f"{base}/templates", data=a_form(subject="Paid: {{ order.number }}"))
    assert changed.status_code == 303
    assert "Paid: {{ order.number }}" in world.bob.get(f"{base}/templates/order_paid").text
    assert world.bob.post(f"{base}/templates/order_paid/remove").status_code == 303
    assert world.bob.get(f"{base}/templates/order_paid").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [{"html": "{{ ''.__class__ }}"}, {"example": "{"}, {"name": "Ours!"}, {"kind": "spam"}],
)
def test_a_refused_form_comes_back_with_what_was_written(
    world: World, base: str, wrong: dict[str, str]
) -> None:
    answer = world.bob.post(f"{base}/templates", data=a_form(is_new="1", **wrong))
    assert answer.status_code == 400
    assert "Your order {{ order.number }}" in answer.text
    assert "order_paid" not in world.bob.get(f"{base}/templates").text


def test_templates_that_come_with_mainstay_are_seen(world: World, base: str) -> None:
    assert "Floor 1, room A" in world.bob.get(f"{base}/templates/task_finished").text
    assert "Set a new password" in world.bob.get(f"{base}/templates/password_reset/preview").text


def test_addresses_are_suppressed_and_let_go_by_members(world: World, base: str) -> None:
    assert "Everybody gets mail" in world.bob.get(f"{base}/suppressed").text
    world.bob.post(f"{base}/suppressed", data={"address": "x@example.com", "note": "left"})
    page = world.bob.get(f"{base}/suppressed").text
    assert "x@example.com" in page
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert world.charlie.post(f"{base}/suppressed/{kept['id']}/lift").status_code == 404
    world.bob.post(f"{base}/suppressed/{kept['id']}/lift")
    assert "Everybody gets mail" in world.bob.get(f"{base}/suppressed").text


def test_administrators_alone_change_how_mails_look(world: World, base: str) -> None:
    look = {"name": "Dock", "colour": "#16794c"}
    assert world.bob.post(f"{base}/setup", data=look).status_code == 403
    assert world.alice.post(f"{base}/setup", data=look).status_code == 303
    assert "Dock" in world.bob.get(f"{base}/setup").text
    assert world.alice.post(f"{base}/setup", data={"colour": "red"}).status_code == 303
    assert world.alice.get("/api/email-look").json()["colour"] == "#16794c"


def test_reports_are_chosen_on_a_page_of_ones_own(world: World) -> None:
    chosen = {"weekly": "on", "time_zone": "Asia/Tokyo", "hour": "9", "weekday": "2"}
    assert world.bob.post("/dashboard/reports", data=chosen).status_code == 303
    page = world.bob.get("/dashboard/reports").text
    assert '<option value="Asia/Tokyo" selected>' in page
    told = world.bob.get("/api/me/reports").json()
    assert (told["weekly"], told["weekday"], told["hour"]) == (True, 2, 9)
    world.bob.post("/dashboard/reports", data={"time_zone": "Asia/Tokyo", "hour": "99"})
    assert world.bob.get("/api/me/reports").json()["hour"] == 9


def test_the_pages_of_others_are_not_there(world: World, base: str) -> None:
    world.bob.post("/api/emails", json=A_MAIL)
    for below in ("", "/templates", "/templates/new", "/suppressed", "/setup"):
        assert world.charlie.get(base + below).status_code == 404
        assert world.stranger.get(base + below).status_code in (303, 401)
