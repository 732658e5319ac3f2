"""The API: a mail is stored once, goes out once, tells what became of it, and is nobody else's."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.kernel.settings import override_settings
from tests.areas.email.conftest import A_MAIL, ANN, arrived, delivered, seen, sent
from tests.servers.smtp import SmtpServer
from tests.world import World


def test_a_mail_is_acknowledged_then_sent_and_says_the_same_in_html_and_text(
    world: World, smtp: SmtpServer
) -> None:
    answer = sent(world)
    assert answer["emails"] == [{"id": answer["id"], "to": ANN, "state": "queued"}]
    assert smtp.messages == [], "nothing is sent from inside a request"
    delivered()

    (mail,) = arrived(smtp, 1)
    assert (mail.sender, mail.recipients) == ("app@ships.example", (ANN,))
    assert mail.subject == "Inspection of Floor 1: pass"
    assert str(mail.message["From"]) == "Ships <app@ships.example>"
    assert mail.message["Message-ID"] == f"<{answer['id']}@ships.example>"
    assert mail.message["List-Unsubscribe"] is None, "an answer cannot be unsubscribed from"
    for part in (mail.html, mail.text):
        assert "Floor 1" in part
        assert "Ann" in part
    told = seen(world, answer["id"])
    assert (told["state"], told["attempts"], told["madeBy"]) == ("sent", 1, "Bob")
    assert (told["project"], told["template"]) == (world.project, "task_finished")


def test_one_key_sends_once_however_often_and_from_how_many_threads_it_is_asked(
    world: World, smtp: SmtpServer
) -> None:
    headers = {"idempotency-key": "inspection-1"}

    def ask(_: int) -> Any:
        return world.bob.post("/api/emails", json=A_MAIL, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    delivered()
    assert len(smtp.messages) == 1

    other = world.bob.post("/api/emails", json={**A_MAIL, "to": "bea@example.com"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key-reused")
    assert world.bob.post("/api/emails", json=A_MAIL).json()["id"] != answers[0].json()["id"]


def test_each_of_several_gets_a_mail_of_their_own(world: World, smtp: SmtpServer) -> None:
    answer = sent(world, to=["a@example.com", "b@example.com", "A@example.com"])
    delivered()
    assert len(answer["emails"]) == 2, "the same mailbox twice is one reader"
    assert {mail.recipients for mail in smtp.messages} == {("A@example.com",), ("b@example.com",)}
    assert all("," not in str(mail.message["To"]) for mail in smtp.messages)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to": "nobody"}, 400, "invalid"),
        ({"to": "a..b@example.com"}, 400, "invalid"),
        ({"to": ".a@example.com"}, 400, "invalid"),
        ({"to": "a@b.example\r\nBcc: all@example.com"}, 400, "invalid"),
        ({"to": []}, 400, "invalid"),
        ({"to": [f"p{n}@example.com" for n in range(51)]}, 400, "invalid"),
        ({"template": "none_such"}, 404, "not-found"),
        ({"data": {}}, 400, "invalid-template-data"),
        ({"data": {"status": "pass", "colour": "red"}}, 400, "invalid-template-data"),
        ({"data": {"status": "pass", "url": "javascript:x"}}, 400, "invalid-template-data"),
        ({"data": {"status": "x", "message": "m" * 70_000}}, 413, "too-large"),
        ({"subject": "also"}, 400, "invalid"),
        ({"template": None, "data": {}, "subject": "Hello"}, 400, "invalid"),
        ({"template": None, "data": {}, "subject": " \n ", "text": "x"}, 400, "invalid"),
        ({"project": "spying"}, 404, "not-found"),
        ({"replyTo": "nobody"}, 400, "invalid"),
        ({"unknown": 1}, 400, "invalid"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_stored(
    world: World, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = world.bob.post("/api/emails", json={**A_MAIL, **changes})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert world.bob.get("/api/emails").json()["emails"] == []


def test_a_mail_in_ones_own_words_stands_in_the_layout_and_a_whole_page_stays_as_it_is(
    world: World, smtp: SmtpServer
) -> None:
    words: dict[str, Any] = {"template": None, "data": {}, "subject": "Hello\r\nBcc: x"}
    sent(world, **words, html="<p class='soft'>Good <b>day</b></p>")
    sent(world, **words, html="<!doctype html><style>p{color:red}</style><p>Mine</p>")
    sent(world, **words, text="Only text")
    delivered()
    layout, page, text = arrived(smtp, 3)
    assert layout.subject == "Hello Bcc: x"
    assert 'role="presentation"' in layout.html
    assert "Good day" in layout.text
    assert 'style="color: red;"' in page.html
    assert "presentation" not in page.html
    assert (text.html, text.text.strip()) == ("", "Only text")


def test_too_much_within_an_hour_and_too_much_that_waits_are_refused(world: World) -> None:
    override_settings(EmailSettings(emails_per_hour=3, emails_queued=2))
    sent(world, to=["a@example.com", "b@example.com"])
    full = world.bob.post("/api/emails", json=A_MAIL)
    assert (full.status_code, full.json()["code"]) == (429, "email-queue-full")
    delivered()
    sent(world)
    delivered()
    often = world.bob.post("/api/emails", json=A_MAIL)
    assert (often.status_code, often.json()["code"]) == (429, "email-rate-limited")
    assert 1 <= int(often.headers["retry-after"]) <= 3600


def test_nobody_sees_or_uses_what_is_anothers(world: World) -> None:
    one = sent(world)["id"]
    world.bob.put("/api/email-templates/secret", json={"subject": "s", "html": "<p>x</p>"})
    made = world.bob.post("/api/email-suppressions", json={"address": "x@example.com"}).json()

    assert world.charlie.get(f"/api/emails/{one}").status_code == 404
    assert world.charlie.get("/api/emails").json()["emails"] == []
    assert world.charlie.get("/api/emails?project=inspections").status_code == 404
    assert world.charlie.get("/api/email-templates/secret").status_code == 404
    assert world.charlie.get("/api/email-suppressions").json()["suppressions"] == []
    path = f"/api/email-suppressions/{made['id']}"
    assert world.charlie.delete(path).status_code == 404
    stolen = {**A_MAIL, "template": "secret", "data": {}}
    assert world.charlie.post("/api/emails", json=stolen).status_code == 404
    assert world.stranger.post("/api/emails", json=A_MAIL).status_code == 401
    assert world.bob.patch("/api/email-look", json={"name": "Bob's"}).status_code == 403
    assert world.alice.patch("/api/email-look", json={"name": "Ours"}).status_code == 200


def test_lists_come_in_pages_and_are_searched(world: World) -> None:
    for number in range(3):
        sent(world, to=f"p{number}@example.com")
    delivered()
    first = world.bob.get("/api/emails?limit=2").json()
    rest = world.bob.get(f"/api/emails?limit=2&cursor={first['nextCursor']}").json()
    told = [each["to"] for each in first["emails"] + rest["emails"]]
    assert told == ["p2@example.com", "p1@example.com", "p0@example.com"]
    assert rest["nextCursor"] is None
    assert len(world.bob.get("/api/emails?q=P1@").json()["emails"]) == 1
    assert len(world.bob.get("/api/emails?state=sent").json()["emails"]) == 3
    assert world.bob.get("/api/emails?state=failed").json()["emails"] == []
    assert world.bob.get("/api/emails?cursor=strange").status_code == 400


def test_a_template_of_ones_own_is_kept_only_if_it_can_be_filled(
    world: World, smtp: SmtpServer
) -> None:
    path = "/api/email-templates/order_paid"
    body = {
        "subject": "Order {{ number }}",
        "html": "<h1>Thanks {{ name }}</h1>{{ facts({'Total': total}) }}{{ badge('paid', 'ok') }}",
        "example": {"number": 7, "name": "Ann", "total": "12 EUR"},
    }
    assert world.bob.put(path, json={**body, "example": {}}).json()["code"] == "invalid-template"
    assert world.bob.put(path, json=body).status_code == 200
    seen = world.bob.post(f"{path}/preview", json={}).json()
    assert (seen["subject"], "Total: 12 EUR" in seen["text"]) == ("Order 7", True)

    data = {"number": 8, "name": "<script>", "total": "1 EUR"}
    sent(world, template="order_paid", data=data)
    delivered()
    (mail,) = arrived(smtp, 1)
    assert mail.subject == "Order 8"
    assert "&lt;script&gt;" in mail.html
    assert "Thanks <script>" in mail.text
    lacking = world.bob.post(
        "/api/emails", json={**A_MAIL, "template": "order_paid", "data": {"number": 9}}
    )
    assert lacking.json()["code"] == "invalid-template"
    assert "'name' is undefined" in lacking.json()["errors"][0]["message"]
    names = [each["name"] for each in world.bob.get("/api/email-templates").json()["templates"]]
    assert names == ["alert", "order_paid", "password_reset", "task_finished", "weekly_summary"]
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


@pytest.mark.parametrize(
    "value",
    [b'"\\ud800"', b"NaN", b"1e999", b"[" * 300 + b"]" * 300, b'{"\\udfff":1}'],
    ids=["half a letter", "no number", "endless", "deep", "half a name"],
)
def test_an_example_that_could_not_be_told_again_is_refused_and_the_others_are_listed(
    world: World, value: bytes
) -> None:
    headers = {"content-type": "application/json"}
    body = b'{"subject":"Hi","html":"<p>x</p>","example":{"n":%b}}' % value
    refused = world.bob.put("/api/email-templates/own", content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert world.bob.get("/api/email-templates/own").status_code == 404
    assert world.bob.get("/api/email-templates").status_code == 200
    sent_so = b'{"to":"a@b.example","template":"task_finished","data":{"n":%b}}' % value
    answer = world.bob.post("/api/emails", content=sent_so, headers=headers)
    assert answer.status_code == 400


def test_a_mail_that_would_end_its_reader_is_refused_and_nothing_is_stored(world: World) -> None:
    deep: dict[str, Any] = {"template": None, "data": {}, "subject": "Hi", "html": "<b>" * 60_000}
    answer = world.bob.post("/api/emails", json={**A_MAIL, **deep})
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable-html")
    whole = world.bob.post("/api/emails", json={**A_MAIL, **deep, "html": "<html>" + deep["html"]})
    assert (whole.status_code, whole.json()["code"]) == (400, "unreadable-html")
    assert world.bob.get("/api/emails").json()["emails"] == []


def test_an_address_is_suppressed_by_hand_and_let_go(world: World, smtp: SmtpServer) -> None:
    body = {"address": "Ann@Example.com", "note": "left"}
    made = world.bob.post("/api/email-suppressions", json=body).json()
    assert (made["address"], made["reason"]) == (ANN, "manual")
    assert world.bob.post("/api/email-suppressions", json=body).status_code == 409
    held = sent(world)["emails"][0]
    assert held["state"] == "suppressed"
    delivered()
    assert smtp.messages == []
    assert world.bob.delete(f"/api/email-suppressions/{made['id']}").status_code == 204
    assert sent(world)["emails"][0]["state"] == "queued"


def test_the_look_of_mails_is_checked_and_kept(world: World, smtp: SmtpServer) -> None:
    for wrong in ({"colour": "red"}, {"logoUrl": "file:///etc/passwd"}, {"replyTo": "x"}):
        assert world.alice.patch("/api/email-look", json=wrong).status_code == 400
    look = {"name": "Dock", "colour": "#ffd100", "logoUrl": "https://ships.example/logo.png"}
    world.alice.patch("/api/email-look", json=look | {"replyTo": "desk@ships.example"})
    sent(world)
    delivered()
    (mail,) = arrived(smtp, 1)
    assert str(mail.message["From"]) == "Dock <app@ships.example>"
    assert str(mail.message["Reply-To"]) == "desk@ships.example"
    assert 'alt="Dock"' in mail.html
    assert "#ffd100" in mail.html
    assert world.alice.get("/api/email-look").json()["colour"] == "#ffd100"


def test_reports_are_chosen_by_each_person_for_themselves(world: World) -> None:
    chosen = {"weekly": True, "timeZone": "Europe/Berlin", "hour": 7}
    answer = world.bob.patch("/api/me/reports", json=chosen).json()
    assert (answer["weekly"], answer["monthly"], answer["hour"]) == (True, False, 7)
    assert answer["nextWeeklyAt"] is not None
    assert world.alice.get("/api/me/reports").json()["weekly"] is False
    assert world.bob.patch("/api/me/reports", json={"timeZone": "Mars/Base"}).status_code == 400
    assert world.bob.patch("/api/me/reports", json={"weekly": False}).json()["nextWeeklyAt"] is None
