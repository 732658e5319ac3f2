"""Alertmanager's receivers, as alert channels: one for each thing that a receiver tells."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .drafts import Draft, Secret
from .lined import Settings

MOST_CHANNELS = 20
LONGEST_URL = 2_000
PLURAL = "_configs"
TEMPLATE = "{{"
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
URL = re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", re.IGNORECASE)
OURS = re.compile(r"/alertmanager/[^/]+/webhook/?")
ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
BOT_TOKEN = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{20,100}")
SLACK_TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]{10,250}")
SLACK_CHANNEL = re.compile(r"#?[^\s,=#<>@]{1,80}")
CHAT = re.compile(r"-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
TOPIC = re.compile(r"[1-9]\d{0,15}")
ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
TELLS_NO_END = frozenset({"email", "slack", "wechat"})  # unless send_resolved says so
BY_ITSELF = frozenset({"send_resolved", "http_config"})
# What no channel speaks to, and who does.
ELSEWHERE = {
    "victorops": "add an Apprise channel, splunk://ROUTING_KEY@API_KEY",
    "wechat": "add an Apprise channel, wecombot://KEY",
    "sns": "add an Apprise channel, sns://KEY/SECRET/REGION/TOPIC",
    "webex": "add an Apprise channel, wxteams://TOKEN of an incoming webhook",
    "jira": "add a webhook that makes issues",
    "rocketchat": "add an Apprise channel, rockets://TOKEN@HOST",
    "mattermost": "add a slack channel with the incoming webhook of Mattermost",
    "incidentio": "add a webhook of your incident.io alert source",
}


class Lacking(Exception):
    """Something of a receiver cannot be a channel; the message says why and what to do."""


@dataclass
class Place:
    """One integration of a receiver: its settings, those of all, and where files are looked for."""

    draft: Draft
    told: Settings
    usual: Settings
    folder: Path
    about: str
    taken: set[str] = field(default_factory=set)

    def note(self, why: str) -> None:
        """Say what is another now."""
        self.draft.note(self.about, why)

    def text(self, key: str) -> str:
        """A text that says itself. Raises `Lacking` for a template."""
        self.taken.add(key)
        found = self.told.text(key).strip()
        if TEMPLATE in found:
            raise Lacking(f"its {key} is made by a template; add one channel for each by hand")
        return found

    def secret(
        self, key: str, usual: str = "", *, like: re.Pattern[str], prefix: str = ""
    ) -> Secret | None:
        """A secret by its key, its file, or that of all receivers; None where there is none.

        Raises `Lacking` when it is there and not `like` what the server takes.
        """
        self.taken |= {key, f"{key}_file"}
        for told, name in ((self.told, key), (self.usual, usual)):
            if not name:
                continue
            if value := told.text(name).strip():
                return self._checked(value, name, like, prefix)
            if file := told.text(f"{name}_file").strip():
                return Secret("", file=str(self.folder / file), prefix=prefix)
        return None

    def needed(self, key: str, usual: str = "", *, like: re.Pattern[str]) -> Secret:
        """A secret without which there is no channel."""
        found = self.secret(key, usual, like=like)
        if found is None:
            raise Lacking(f"has no {key}")
        return found

    def url(self, key: str, usual: str = "") -> Secret:
        """An address of http or https, which is a secret."""
        return self.needed(key, usual, like=URL)

    def _checked(self, value: str, name: str, like: re.Pattern[str], prefix: str) -> Secret:
        if TEMPLATE in value:
            raise Lacking(f"its {name} is made by a template; add one channel for each by hand")
        if VARIABLE.fullmatch(value) and not prefix:
            return Secret(value)
        if len(value) > LONGEST_URL or not like.fullmatch(value):
            raise Lacking(
                f"its {name} is none that Mainstay takes; an address is of http or https without"
                " user and password, a key or token as its maker gives it"
            )
        return Secret(prefix + (quote(value, safe="") if prefix else value))


Made = Iterator[tuple[str, dict[str, Any]]]


def add_receivers(
    draft: Draft,
    receivers: Sequence[Settings],
    usual: Settings,
    used: Sequence[str],
    folder: Path,
) -> Mapping[str, Sequence[str]]:
    """Add the channels of the receivers, those that routes lead to first; gives their names.

    What no route leads to is added switched off, for a channel that no route names hears all.
    """
    ranks = {name: number for number, name in enumerate(used)}
    found: dict[str, list[str]] = {}
    same: dict[str, str] = {}
    for receiver in sorted(receivers, key=lambda one: ranks.get(one.text("name"), len(ranks))):
        name = receiver.text("name")
        on = name in ranks
        if not on:
            draft.note(
                f"line {receiver.line}, receiver {name}",
                "no alert reaches it; its channels are switched off, since without a route they"
                " would hear all",
            )
        names = found.setdefault(name, [])
        made = list(_channels(draft, receiver, usual, folder))
        for about, kind, config in made:
            title = name if len(made) == 1 else f"{name} {kind}"
            added = _added(draft, (about, title, kind), config, same, on=on)
            if added and added not in names:
                names.append(added)
    return found


def _added(
    draft: Draft,
    about: tuple[str, str, str],
    config: Mapping[str, Any],
    same: dict[str, str],
    *,
    on: bool,
) -> str:
    """The name of a channel for a target, which is one however many receivers share it."""
    where, title, kind = about
    target = repr((kind, sorted(config.items(), key=str)))
    if present := same.get(target):
        draft.note(where, f"is told through the channel {present!r}, which has the same target")
        return present
    if len(same) >= MOST_CHANNELS:
        draft.note(
            where,
            f"is left out: a project has at most {MOST_CHANNELS} channels of its own;"
            " spread what you have over several projects, or over instances by hand",
        )
        return ""
    thing = {"type": kind, "config": dict(config), "enabled": None if on else False}
    same[target] = draft.add("alertChannels", title, thing)
    return same[target]


def _channels(
    draft: Draft, receiver: Settings, usual: Settings, folder: Path
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    name = receiver.text("name")
    for key in receiver:
        if key == "name":
            continue
        kind = key.removesuffix(PLURAL)
        if not key.endswith(PLURAL) or kind not in (*KINDS, *ELSEWHERE):
            known = ", ".join(f"{one}{PLURAL}" for one in (*KINDS, *ELSEWHERE))
            receiver.refuse(key, f"a receiver has no {key!r}; correct it, it has name, {known}")
        for told in receiver.sections(key):
            about = f"line {told.line}, receiver {name}, {kind}"
            if kind in ELSEWHERE:
                draft.note(about, f"is left out, no channel speaks to it; {ELSEWHERE[kind]}")
                continue
            place = Place(draft, told, usual, folder, about)
            try:
                for ours, config in KINDS[kind](place):
                    yield about, ours, {k: v for k, v in config.items() if v}
            except Lacking as lacking:
                draft.note(about, f"is left out: {lacking}")
                continue
            _tell_rest(place, kind)


def _tell_rest(place: Place, kind: str) -> None:
    """Say of everything that was not taken over."""
    told = place.told
    if not told.flag("send_resolved", usual=kind not in TELLS_NO_END):
        place.note("told of no ends; here the end of an alert is told, too")
    if told.get("http_config") and "http_config" not in place.taken:
        place.note(
            "http_config: Mainstay sends without it (sign-in, TLS, proxies); webhooks are signed"
            " instead"
        )
    rest = [key for key in told if key not in place.taken | BY_ITSELF]
    if rest:
        place.note(f"not taken over, since messages are worded by Mainstay: {', '.join(rest)}")


def _webhook(place: Place) -> Made:
    address = place.url("url")
    if OURS.fullmatch(urlsplit(address.value).path):
        raise Lacking("it tells a Mainstay; let Prometheus send there, without Alertmanager")
    yield "webhook", {"webhookUrl": address, "format": "alertmanager"}


def _slack(place: Place) -> Made:
    channel = place.text("channel")
    token = place.secret("app_token", "slack_app_token", like=SLACK_TOKEN) or _bearer(place)
    if token is not None:
        place.taken |= {"api_url", "api_url_file", "app_url"}
        if not SLACK_CHANNEL.fullmatch(channel):
            raise Lacking("a bot needs the channel that it writes to, such as #alerts")
        yield "slack", {"botToken": token, "channel": channel}
        return
    if channel:
        place.note(
            f"an incoming webhook writes to the channel it was made for, whatever {channel} says;"
            " for others make a webhook or a bot each"
        )
    yield "slack", {"webhookUrl": place.url("api_url", "slack_api_url")}


def _bearer(place: Place) -> Secret | None:
    """The token of a bot that is given as what signs its requests."""
    address = place.told.text("api_url") or place.usual.text("slack_api_url")
    if not address.rstrip("/").endswith("/api/chat.postMessage"):
        return None
    place.taken.add("http_config")
    http = place.told.section("http_config") or place.usual.section("http_config")
    signed = Place(place.draft, http.section("authorization"), place.usual, place.folder, "")
    return signed.needed("credentials", like=SLACK_TOKEN)


def _pagerduty(place: Place) -> Made:
    key = place.secret("routing_key", like=ROUTING_KEY)
    if key is None:
        key = place.needed("service_key", like=ROUTING_KEY)
        place.note(
            "its key was of PagerDuty's Events API v1; if a test is refused, add an integration of"
            " Events API v2 to the service and take its key"
        )
    if place.told.get("url") or place.usual.get("pagerduty_url"):
        place.taken.add("url")
        place.note("another address of PagerDuty is a setting: MAINSTAY_PAGERDUTY_URL")
    yield "pagerduty", {"routingKey": key}


def _email(place: Place) -> Made:
    addresses = [address for _, address in getaddresses([place.text("to")]) if address]
    if not addresses:
        raise Lacking("has no address under to")
    place.taken |= {
        *("from", "smarthost", "hello", "auth_username", "auth_password", "auth_password_file"),
        *("auth_secret", "auth_secret_file", "auth_identity", "require_tls", "tls_config"),
    }
    place.draft.note("mail", "leaves through Mainstay's own mail server: set MAINSTAY_SMTP_HOST")
    for address in addresses:
        if ADDRESS.fullmatch(address) and address.isascii():
            yield "email", {"email": address}
        else:
            place.note("one of its addresses is none that mail can go to; add it by hand")


def _teams(place: Place) -> Made:
    place.note("Teams takes webhooks of workflows only; if this is one of a connector, make one")
    yield "teams", {"webhookUrl": place.url("webhook_url")}


def _workflow(place: Place) -> Made:
    yield "teams", {"webhookUrl": place.url("webhook_url")}


def _discord(place: Place) -> Made:
    yield "discord", {"webhookUrl": place.url("webhook_url")}


def _telegram(place: Place) -> Made:
    chat, topic = place.text("chat_id") or place.text("chat"), place.text("message_thread_id")
    token = place.needed("bot_token", "telegram_bot_token", like=BOT_TOKEN)
    if not CHAT.fullmatch(chat):
        raise Lacking("has no chat_id that is a number")
    yield (
        "telegram",
        {
            "chatId": chat,
            "botToken": token,
            "topicId": topic if TOPIC.fullmatch(topic) else "",
        },
    )


def _opsgenie(place: Place) -> Made:
    address = place.told.text("api_url") or place.usual.text("opsgenie_api_url")
    place.taken.add("api_url")
    if "api.eu." in address:
        raise Lacking("add an Apprise channel, opsgenie://API_KEY?region=eu")
    key = place.secret(
        "api_key", "opsgenie_api_key", like=re.compile(r"[A-Za-z0-9-]{8,64}"), prefix="opsgenie://"
    )
    if key is None:
        raise Lacking("has no api_key")
    place.note("goes through Apprise: needs MAINSTAY_ALERTS_APPRISE and mainstay-server[apprise]")
    yield "apprise", {"url": key}


def _pushover(place: Place) -> Made:
    simple = re.compile(r"[A-Za-z0-9]{20,40}")
    user, token = place.needed("user_key", like=simple), place.needed("token", like=simple)
    if user.file or token.file or VARIABLE.search(user.value + token.value):
        raise Lacking("its keys are elsewhere; add an Apprise channel, pover://USER_KEY@TOKEN")
    place.note("goes through Apprise: needs MAINSTAY_ALERTS_APPRISE and mainstay-server[apprise]")
    yield "apprise", {"url": Secret(f"pover://{user.value}@{token.value}")}


KINDS: Mapping[str, Callable[[Place], Made]] = {
    "webhook": _webhook,
    "slack": _slack,
    "pagerduty": _pagerduty,
    "email": _email,
    "msteams": _teams,
    "msteamsv2": _workflow,
    "discord": _discord,
    "telegram": _telegram,
    "opsgenie": _opsgenie,
    "pushover": _pushover,
}
