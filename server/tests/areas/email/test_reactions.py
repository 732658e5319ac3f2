"""On the way out: tried again as the same mail, bounced by its code, and ended by its reader."""

from datetime import timedelta

import pytest
from mainstay_server.areas.email.models import Email
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from tests.areas.email.conftest import ANN, arrived, delivered, seen, sent
from tests.servers.smtp import SmtpServer
from tests.world import World

A_WEEK = {"template": "weekly_summary", "data": {"inspectionsCount": 45}}


def test_a_server_that_cannot_now_gets_the_same_mail_again(world: World, smtp: SmtpServer) -> None:
    smtp.refuse("451 4.3.2 later", "421 4.3.0 busy")
    one = sent(world)["id"]
    delivered()
    told = seen(world, one)
    assert (told["state"], told["attempts"]) == ("queued", 1)
    assert "451" in told["reason"]
    later = utc_now() + timedelta(minutes=5)
    delivered(now=later)
    delivered(now=later + timedelta(minutes=5))
    (mail,) = arrived(smtp, 1)
    assert mail.message["Message-ID"] == f"<{one}@ships.example>"
    assert (seen(world, one)["state"], seen(world, one)["reason"]) == ("sent", "")


@pytest.mark.parametrize("reply", ["550 no such user", "550 5.1.1 unknown", "553 5.2.1 disabled"])
def test_an_address_that_is_refused_bounces_and_is_written_to_no_more(
    world: World, smtp: SmtpServer, reply: str
) -> None:
    smtp.refuse_recipient(ANN, reply)
    one = sent(world)["id"]
    delivered()
    assert seen(world, one)["state"] == "bounced"
    assert reply in seen(world, one)["reason"]
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert (kept["address"], kept["reason"]) == (ANN, "hard_bounce")
    assert reply in kept["note"]
    assert sent(world)["emails"][0]["state"] == "suppressed"
    assert smtp.messages == []


@pytest.mark.parametrize("at", ["recipient", "message"])
def test_a_refusal_that_is_not_the_addresses_fault_suppresses_nobody(
    world: World, smtp: SmtpServer, at: str
) -> None:
    if at == "recipient":
        smtp.refuse_recipient(ANN, "550 5.7.1 your network is not welcome")
    else:
        smtp.refuse("554 5.6.0 we do not like what it says")
    one = sent(world)["id"]
    delivered()
    assert seen(world, one)["state"] == "failed"
    assert world.bob.get("/api/email-suppressions").json()["suppressions"] == []


def test_an_address_that_is_suppressed_while_its_mail_waits_does_not_get_it(
    world: World, smtp: SmtpServer
) -> None:
    one = sent(world)["id"]
    world.bob.post("/api/email-suppressions", json={"address": ANN})
    delivered()
    assert smtp.messages == []
    assert seen(world, one)["state"] == "suppressed"
    assert "manual" in seen(world, one)["reason"]


def test_a_reader_ends_subscriptions_by_one_click_and_still_gets_answers(
    world: World, smtp: SmtpServer
) -> None:
    sent(world, **A_WEEK)
    delivered()
    (mail,) = arrived(smtp, 1)
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = str(mail.message["List-Unsubscribe"]).strip("<>")
    assert link in mail.text
    path = link.removeprefix("http://mainstay.test")

    page = world.stranger.get(path)
    assert "Should ann@example.com" in page.text
    assert sent(world, **A_WEEK)["emails"][0]["state"] == "queued", "looking ends nothing"
    for _ in range(2):
        done = world.stranger.post(path, data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
    assert sent(world, **A_WEEK)["emails"][0]["state"] == "suppressed"
    assert sent(world)["emails"][0]["state"] == "queued"
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert kept["reason"] == "unsubscribed"


def test_a_link_that_nobody_was_given_ends_nothing(world: World) -> None:
    for token in ("x", "W10.x.y"):
        assert world.stranger.get(f"/email/unsubscribe/{token}").status_code == 404
        assert world.stranger.post(f"/email/unsubscribe/{token}").status_code == 404
    assert world.bob.get("/api/email-suppressions").json()["suppressions"] == []


def test_a_bounce_holds_back_what_an_unsubscription_let_through(
    world: World, smtp: SmtpServer
) -> None:
    sent(world, **A_WEEK)
    delivered()
    path = str(arrived(smtp, 1)[0].message["List-Unsubscribe"]).strip("<>")
    world.stranger.post(path.removeprefix("http://mainstay.test"))
    smtp.refuse_recipient(ANN, "550 5.1.1 unknown")
    sent(world)
    delivered()
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert kept["reason"] == "hard_bounce"
    assert sent(world)["emails"][0]["state"] == "suppressed"


def a_reset(world: World) -> str:
    data = {"resetUrl": "https://app.example.com/reset?token=s3cret"}
    return str(sent(world, template="password_reset", data=data)["id"])


def kept(one: str) -> str:
    """What the database holds of the words of a mail."""
    with reading() as session:
        email = session.get_one(Email, one)
        return email.html + email.text


def test_a_link_to_a_new_password_is_shown_to_its_reader_alone_and_forgotten_once_it_is_sent(
    world: World, smtp: SmtpServer
) -> None:
    one = a_reset(world)
    assert "s3cret" in kept(one)
    assert (seen(world, one)["html"], seen(world, one)["text"]) == ("", "")
    page = f"/dashboard/projects/{world.project}/email/{one}"
    assert "s3cret" not in world.bob.get(page).text + world.bob.get(f"{page}/html").text
    delivered()
    assert "s3cret" in arrived(smtp, 1)[0].text
    assert kept(one) == ""


def test_a_link_to_a_new_password_is_not_kept_when_it_did_not_get_through(
    world: World, smtp: SmtpServer
) -> None:
    smtp.refuse_recipient(ANN, "550 5.1.1 unknown")
    bounced, waiting = a_reset(world), a_reset(world)
    delivered()
    suppressed = a_reset(world)
    states = [seen(world, one)["state"] for one in (bounced, waiting, suppressed)]
    assert states == ["bounced", "suppressed", "suppressed"]
    assert [kept(one) for one in (bounced, waiting, suppressed)] == ["", "", ""]


def test_without_a_mail_server_mails_wait_and_say_why(world: World) -> None:
    override_settings(SmtpSettings())
    one = sent(world)["id"]
    delivered()
    assert seen(world, one)["state"] == "queued"
    assert "MAINSTAY_SMTP_HOST" in seen(world, one)["reason"]
