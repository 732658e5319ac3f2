"""From saying something on a page to every subscriber having it: once, in order, or not at all."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas import status_pages
from mainstay_server.areas.status_pages.models import StatusNotice, StatusSubscriber
from mainstay_server.areas.status_pages.schemas.events import StatusUpdateSaid
from mainstay_server.areas.status_pages.service import subscribers, telling
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import run_waiting
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import ServerSettings, of, override_settings
from mainstay_server.kernel.standard_webhooks import signature
from tests.areas.status_pages.conftest import Echo
from tests.areas.status_pages.worlds import made_component, made_page, made_report
from tests.servers.http import HttpReceiver
from tests.servers.smtp import ReceivedMail, SmtpServer
from tests.world import World

ANN = "ann@ships.example"


@pytest.fixture
def world(client_for: Callable[..., World], smtp: SmtpServer) -> World:
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="status@ships.example")
    )
    made = client_for(status_pages.area)
    override_settings(StatusPageSettings(status_webhooks_private=True))
    override_settings(of(ServerSettings).model_copy(update={"base_url": "http://mainstay.test"}))
    return made


def delivered() -> None:
    """Let every reaction and sender run that is due now, until nothing is."""
    while run_waiting(now=utc_now()):
        pass


def path_in(mail: ReceivedMail, word: str) -> str:
    """The path of a link in a mail."""
    (link,) = {each for each in mail.text.split() if f"/{word}/" in each}
    return link.strip("()").removeprefix("http://mainstay.test")


def subscribed(world: World, smtp: SmtpServer, address: str = ANN, **more: Any) -> None:
    """Somebody signs up, and confirms by the link in the mail."""
    before = len(smtp.messages)
    world.stranger.post("/status/acme/subscribe", data={"email": address, **more})
    delivered()
    mail = smtp.wait_for(before + 1)[-1]
    assert mail.recipients == (address,)
    assert world.stranger.post(path_in(mail, "confirm")).status_code == 200


def test_nobody_is_told_before_they_confirmed_it(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    world.stranger.post("/status/acme/subscribe", data={"email": ANN})
    delivered()
    (asked,) = smtp.wait_for(1)
    path = path_in(asked, "confirm")

    looked = world.stranger.get(path)  # as programs do that look into mails
    made_report(world, page)
    delivered()
    assert len(smtp.messages) == 1
    assert "Confirm the subscription" in looked.text

    assert "You are subscribed" in world.stranger.post(path).text
    made_report(world, page, title="Slower")
    delivered()

    told = smtp.wait_for(2)[-1]
    assert told.subject == "[Acme] Investigating: Slower"
    assert "We are looking." in told.text
    assert "<strong>looking</strong>" in told.html


def test_one_click_ends_a_subscription_as_mailboxes_do_it(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    subscribed(world, smtp)
    made_report(world, page)
    delivered()
    told: EmailMessage = smtp.wait_for(2)[-1].message
    assert told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = told["List-Unsubscribe"].strip("<>")

    ended = world.stranger.post(
        url.removeprefix("http://mainstay.test"), data={"List-Unsubscribe": "One-Click"}
    )
    made_report(world, page, title="Later")
    delivered()

    assert ended.status_code == 200
    assert len(smtp.messages) == 2
    assert _count(StatusSubscriber) == 0


def test_a_link_of_another_page_or_a_changed_one_does_nothing(
    world: World, smtp: SmtpServer
) -> None:
    made_page(world)
    other = world.alice.post("/api/status-pages", json={"name": "Other", "slug": "other"}).json()
    world.alice.patch(f"/api/status-pages/{other['id']}", json={"published": True})
    world.stranger.post("/status/acme/subscribe", data={"email": ANN})
    delivered()
    path = path_in(smtp.wait_for(1)[0], "confirm")

    for wrong in (path.replace("/acme/", "/other/"), path[:-2] + "xx"):
        assert world.stranger.post(wrong).status_code == 404

    unconfirmed = path.replace("/confirm/", "/subscription/")
    assert world.stranger.post(unconfirmed).status_code == 200  # and ends nothing
    assert _count(StatusSubscriber) == 1


def test_who_chose_components_hears_of_those_alone(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    api, shop = made_component(world, page, "API"), made_component(world, page, "Shop")
    subscribed(world, smtp, component=api["id"])

    made_report(world, page, title="Of the shop", affected={shop["id"]: "partial_outage"})
    made_report(world, page, title="Of the API", affected={api["id"]: "partial_outage"})
    made_report(world, page, title="Of everything")
    delivered()

    assert [mail.subject for mail in smtp.wait_for(3)[1:]] == [
        "[Acme] Investigating: Of the API",
        "[Acme] Investigating: Of everything",
    ]


def test_a_subscriber_changes_what_they_are_told_of(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    api, _ = made_component(world, page, "API"), made_component(world, page, "Shop")
    subscribed(world, smtp)
    made_report(world, page)
    delivered()
    url = smtp.wait_for(2)[-1].message["List-Unsubscribe"].strip("<>")
    path = url.removeprefix("http://mainstay.test")

    saved = world.stranger.post(f"{path}/scope", data={"component": [api["id"], "0" * 36]})

    assert "Saved." in saved.text
    with reading() as session:
        assert session.scalars(sa.select(StatusSubscriber)).one().component_ids == [api["id"]]


def test_a_mail_server_that_is_away_loses_and_doubles_nothing(
    world: World, smtp: SmtpServer
) -> None:
    page = made_page(world)
    subscribed(world, smtp)
    smtp.refuse("451 4.3.2 try later", "451 4.3.2 try later")
    made_report(world, page)
    now = utc_now()

    for later in (0, 60, 600, 6_000):
        run_waiting(now=now + timedelta(seconds=later))
        run_waiting(now=now + timedelta(seconds=later))

    told = [mail for mail in smtp.messages if "Slow answers" in mail.subject]
    assert len(told) == 1
    with reading() as session:
        assert session.scalars(sa.select(StatusNotice)).one().delivered_at is not None


def test_an_update_that_is_heard_twice_is_one_notice(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    subscribed(world, smtp)
    made_report(world, page)
    delivered()

    with transaction() as session:
        notice = session.scalars(sa.select(StatusNotice)).one()
        event = StatusUpdateSaid(page_id=page["id"], update_id=notice.update_id)
        telling.spread(session, event, now=utc_now())
    delivered()

    assert len(smtp.messages) == 2


def test_many_subscribers_are_told_in_turns(
    world: World, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = made_page(world)
    monkeypatch.setattr(telling, "MOST_AT_ONCE", 2)
    for number in range(5):
        subscribed(world, smtp, f"reader{number}@ships.example")

    made_report(world, page)
    delivered()

    told = [mail.recipients[0] for mail in smtp.wait_for(10)[5:]]
    assert sorted(told) == [f"reader{number}@ships.example" for number in range(5)]


def test_a_mailbox_gets_few_mails_however_often_it_is_named(world: World, smtp: SmtpServer) -> None:
    made_page(world)
    for number in range(6):
        slug = f"page-{number}"
        page = world.alice.post("/api/status-pages", json={"name": slug, "slug": slug}).json()
        world.alice.patch(f"/api/status-pages/{page['id']}", json={"published": True})
        for _ in range(2):
            world.stranger.post(f"/status/{slug}/subscribe", data={"email": ANN})
    delivered()

    assert 1 <= len(smtp.messages) <= 3


def test_who_is_subscribed_already_gets_the_link_to_end_it(world: World, smtp: SmtpServer) -> None:
    made_page(world)
    subscribed(world, smtp)
    with transaction() as session:
        (one,) = session.scalars(sa.select(StatusSubscriber))
        one.asked_at = utc_now() - timedelta(hours=2)

    world.stranger.post("/status/acme/subscribe", data={"email": ANN})
    delivered()

    mail = smtp.wait_for(2)[-1]
    assert mail.subject == "You are subscribed to Acme"
    assert "/subscription/" in mail.text


def test_those_who_never_confirmed_are_forgotten(world: World, smtp: SmtpServer) -> None:
    made_page(world)
    subscribed(world, smtp)
    world.stranger.post("/status/acme/subscribe", data={"email": "bob@ships.example"})

    with transaction() as session:
        gone = subscribers.remove_unconfirmed(session, now=utc_now() + timedelta(hours=49))

    assert gone == 1
    with reading() as session:
        assert session.scalars(sa.select(StatusSubscriber)).one().address == ANN


def test_what_was_told_long_ago_is_forgotten(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    subscribed(world, smtp)
    made_report(world, page)
    delivered()

    with transaction() as session:
        kept = subscribers.remove_old_notices(session, now=utc_now() + timedelta(days=89))
        gone = subscribers.remove_old_notices(session, now=utc_now() + timedelta(days=91))

    assert (kept, gone) == (0, 1)


def test_a_maintenance_is_announced_to_subscribers(world: World, smtp: SmtpServer) -> None:
    page = made_page(world)
    subscribed(world, smtp)
    body = {
        "title": "Disks",
        "body": "New ones.",
        "startsAt": "2099-01-01T02:00:00Z",
        "endsAt": "2099-01-01T03:00:00Z",
    }

    world.alice.post(f"/api/status-pages/{page['id']}/maintenances", json=body)
    delivered()

    mail = smtp.wait_for(2)[-1]
    assert mail.subject == "[Acme] Scheduled maintenance: Disks"
    assert "1 Jan 2099, 02:00 UTC to 1 Jan 2099, 03:00 UTC" in mail.text


def test_quiet_updates_and_those_of_a_draft_are_told_to_nobody(
    world: World, smtp: SmtpServer
) -> None:
    page = made_page(world)
    subscribed(world, smtp)

    made_report(world, page, notify=False)
    world.alice.patch(f"/api/status-pages/{page['id']}", json={"published": False})
    made_report(world, page)
    delivered()

    assert len(smtp.messages) == 1


def test_a_webhook_is_told_once_it_answered_the_challenge(world: World, echo: Echo) -> None:
    page = made_page(world, takesWebhooks=True)
    signed_up = world.stranger.post("/status/acme/subscribe", data={"webhook": echo.url})
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", signed_up.text)
    delivered()

    made_report(world, page)
    delivered()

    (_, asked), (headers, body) = echo.received
    told = json.loads(body)
    assert json.loads(asked)["type"] == "subscription.challenge"
    assert told["type"] == "incident.updated"
    assert told["incident"]["title"] == "Slow answers"
    assert headers["webhook-signature"] == signature(
        secret, headers["webhook-id"], headers["webhook-timestamp"], body
    )


def test_a_webhook_that_does_not_know_the_challenge_is_told_nothing(
    world: World, http_receiver: HttpReceiver
) -> None:
    page = made_page(world, takesWebhooks=True)
    world.stranger.post("/status/acme/subscribe", data={"webhook": f"{http_receiver.url}/hook"})
    delivered()

    made_report(world, page)
    delivered()

    assert len(http_receiver.requests) == 1
    with reading() as session:
        assert session.scalars(sa.select(StatusSubscriber)).one().confirmed_at is None


def test_a_strangers_webhook_reaches_no_private_address(
    world: World, http_receiver: HttpReceiver
) -> None:
    override_settings(StatusPageSettings())
    made_page(world, takesWebhooks=True)

    world.stranger.post("/status/acme/subscribe", data={"webhook": f"{http_receiver.url}/hook"})
    delivered()

    assert http_receiver.requests == []


def _count(kind: type[StatusSubscriber]) -> int:
    with reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(kind)) or 0
