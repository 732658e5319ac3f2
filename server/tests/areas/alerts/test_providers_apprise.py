"""Apprise: who may use it, what it tells, and what it must never be made to do."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from mainstay_server.areas.alerts.providers import apprise
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import ServerSettings, forget_settings, override_settings
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE, Harbour
from tests.servers.http import Answer, HttpReceiver
from tests.servers.smtp import SmtpServer

# The library imports a module of Python that 3.13 has not any more, if it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    override_settings(AlertSettings(alerts_apprise=True))
    yield
    forget_settings()


@pytest.fixture(autouse=True)
def _way_out(request: pytest.FixtureRequest) -> Iterator[None]:
    if "harbour" in request.fixturenames:
        yield  # which opens it itself
        return
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def json_url(receiver: HttpReceiver, rest: str = "/hook/secret") -> str:
    return f"json://somebody:password@{receiver.host}:{receiver.port}{rest}"


def send(url: str) -> None:
    apprise.send(NOTICE, config={"url": url}, secrets=(), delivery_id="d", now=NOON)


def refusal_of(url: str) -> str:
    with pytest.raises(Invalid) as refusal:
        apprise.checked({"url": url})
    assert refusal.value.errors[0]["field"] == "config.url"
    return refusal.value.detail


def test_an_outage_and_its_end_arrive_at_a_service_of_apprise(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel_of("apprise", {"url": json_url(http_receiver)})

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = (json.loads(request.body) for request in http_receiver.requests)
    here = f"alerts/{harbour.alerts()[0].id}?instance=production"
    page = f"http://127.0.0.1:8000/dashboard/projects/inspections/{here}"
    assert (down["type"], up["type"]) == ("failure", "success")
    assert down["title"] == "[critical] inspections production is down"
    assert down["message"] == (
        "It answered 500.\nhttps://inspections.example/health\n"
        f"Inspections production, since 1 Mar 2026, 12:00 UTC\n{page}"
    )
    assert up["title"] == "[resolved] inspections production is down"
    assert up["message"].startswith("It is healthy again after 12 min.\n")
    assert "until 1 Mar 2026, 12:12 UTC" in up["message"]
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


def test_mail_through_apprise_arrives(smtp: SmtpServer) -> None:
    send(f"mailto://{smtp.host}:{smtp.port}?from=m@ships.example&to=team@ships.example")

    (mail,) = smtp.wait_for(1)
    assert mail.subject == "[critical] inspections production is down"
    assert "<b>It</b> answered 500." in mail.text or "&lt;b&gt;It&lt;/b&gt;" in mail.html


def test_a_service_that_fails_is_tried_again_by_the_outbox_and_not_by_apprise(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    url = json_url(http_receiver, "/hook/secret?retry=5&wait=9&optional=yes&rto=500")
    harbour.channel_of("apprise", {"url": url})
    http_receiver.answer(Answer(status=500))

    harbour.goes_down()
    assert len(http_receiver.requests) == 1
    (waiting,) = harbour.notifications()
    assert waiting.state == "waiting"
    assert "500" in waiting.last_error
    assert "secret" not in waiting.last_error
    harbour.later(timedelta(hours=2))
    harbour.deliver()

    assert len(http_receiver.requests) == 2
    assert [n.state for n in harbour.notifications()] == ["delivered"]


def test_a_service_that_hangs_is_given_up_whatever_its_url_asks_for(
    http_receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apprise, "SOCKET_TIMEOUT_SECONDS", 0.3)
    http_receiver.answer(Answer(hang=True))
    with pytest.raises(RetryLater, match="Apprise could not deliver"):
        send(json_url(http_receiver, "/?rto=500&cto=500"))


def test_redirects_are_not_followed(http_receiver: HttpReceiver) -> None:
    http_receiver.answer(Answer(status=307, headers={"Location": f"{http_receiver.url}/else"}))
    with pytest.raises(RetryLater):
        send(json_url(http_receiver))
    assert len(http_receiver.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "json://169.254.169.254/",
        "json://somebody:password@2852039166/",
        "gotify://0xa9fea9fe/token",
        "ntfy://169.254.169.254/topic",
        "ntfy://[::ffff:169.254.169.254]/topic",
        "json://metadata.google.internal/",
    ],
)
def test_what_hands_out_credentials_of_the_machine_is_never_asked(url: str) -> None:
    with pytest.raises(Refused, match="never open"):
        send(url)


@pytest.mark.parametrize("url", ["nosuch://host/a", "syslog://", "json://host/?template=/a"])
def test_a_url_that_is_not_taken_any_more_is_refused_for_good(url: str) -> None:
    with pytest.raises(Refused, match="add the channel anew"):
        send(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("json://user:word@hooks.example:8080/a/b", "json://hooks.example:8080/…"),
        ("mailtos://me:word@ships.example?to=a@b.example", "mailtos://ships.example/…"),
        ("tgram://123456789:AAbbCC/chat", "tgram://…"),
        ("slack://TokenA/TokenB/TokenC/", "slack://…"),
        ("json://user:wo/rd@hooks.example/a", "json://…"),
        ("jsons://token?x=@evil", "jsons://token/…"),
    ],
)
def test_secrets_in_urls_are_masked(url: str, shown: str) -> None:
    assert apprise.shown({"url": url}) == shown


@pytest.mark.parametrize(
    ("url", "next_step"),
    [
        ("", "must begin with the name of a service"),
        ("hooks.example", "must begin with the name of a service"),
        ("nosuch://hooks.example", "https://github.com/caronc/apprise/wiki"),
        ("tgram://not-a-token", "https://github.com/caronc/apprise/wiki"),
        ("json://a.example, json://b.example", "must be one URL"),
        ("json://" + "a" * 2000, "2000 characters"),
        ("syslog://", "name a service elsewhere"),
        ("DBUS://", "name a service elsewhere"),
        ("mailto://a.example?to=a@b.example&pgpprv=/etc/shadow", "leave it out"),
        ("discord://1/2?Template=/data/secret_key", "leave it out"),
        ("discord://1/2?x=1%26template=/data/secret_key", "leave it out"),
    ],
)
def test_a_url_that_cannot_or_must_not_work_is_refused_with_the_next_step(
    url: str, next_step: str
) -> None:
    assert next_step in refusal_of(url)


def test_every_parameter_of_the_library_that_names_a_file_is_known() -> None:
    library = pytest.importorskip("apprise")
    found = {
        name
        for schema in library.Apprise().details()["schemas"]
        for name, about in schema["details"]["args"].items()
        if str(about.get("name")).lower().endswith(("file", " path", "template path"))
    }
    # Paths within the URL of a service, which no file is read from.
    assert found - {"path", "fullpath"} <= apprise.READ_FILES
    assert "template" in found


def test_without_the_library_the_refusal_is_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    assert "pip install 'mainstay-server[apprise]'" in refusal_of("json://hooks.example")
    with pytest.raises(RetryLater, match="not installed"):
        send("json://hooks.example")


@pytest.mark.parametrize(
    ("database", "private", "apprise_setting", "allowed"),
    [
        ("", None, None, True),
        ("", True, None, True),
        ("", False, None, False),
        ("postgresql+psycopg://db/m", None, None, False),
        ("postgresql+psycopg://db/m", True, None, False),
        ("postgresql+psycopg://db/m", None, True, True),
        ("", None, False, False),
    ],
)
def test_it_is_allowed_where_the_address_check_guards_nobody_or_the_operator_says_so(
    database: str,
    private: bool | None,  # noqa: FBT001 - a column of the table
    apprise_setting: bool | None,  # noqa: FBT001 - same
    allowed: bool,  # noqa: FBT001 - same
) -> None:
    override_settings(
        ServerSettings(
            database_url=database,
            secret_key="k" * 32,
            outbound_allow_private=private,
        )
    )
    override_settings(AlertSettings(alerts_apprise=apprise_setting))

    assert (apprise.not_ready() == "") is allowed
    if not allowed:
        assert "MAINSTAY_ALERTS_APPRISE=true" in refusal_of("json://hooks.example")
        with pytest.raises(RetryLater, match="switched off"):
            send("json://hooks.example")
