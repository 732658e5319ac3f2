"""Where other tools tell people, as alert channels of ours."""

from collections.abc import Callable, Sequence
from urllib.parse import quote, urlsplit

from .drafts import Draft, Secret


def add(draft: Draft, name: str, kind: str, said: Sequence[str]) -> None:
    """Add a channel of a kind in `KINDS`, with what the other tool has for its parameters."""
    KINDS[kind](draft, name, *said)


def slack(draft: Draft, name: str, url: str) -> None:
    """An incoming webhook of Slack."""
    _add(draft, name, "slack", "webhookUrl", url)


def webhook(draft: Draft, name: str, url: str) -> None:
    """Our own signed webhook, in place of another tool's."""
    _add(draft, name, "webhook", "webhookUrl", url)
    draft.note(f"channel {name}", "a webhook gets our message now, which is shaped otherwise")


def email(draft: Draft, name: str, addresses: str) -> None:
    """One channel for each address; mail leaves through our own mail server."""
    for address in addresses.replace(";", ",").split(","):
        if address.strip():
            draft.add(
                "alertChannels", name, {"type": "email", "config": {"email": address.strip()}}
            )
    draft.note(f"channel {name}", "mail leaves through Mainstay's mail server: MAINSTAY_SMTP_HOST")


def pagerduty(draft: Draft, name: str, key: str) -> None:
    """An integration key of PagerDuty's events API."""
    _add(draft, name, "pagerduty", "routingKey", key)


def apprise(draft: Draft, name: str, url: str) -> None:
    """Anything that Apprise speaks to."""
    _add(draft, name, "apprise", "url", url)
    draft.note(f"channel {name}", "needs MAINSTAY_ALERTS_APPRISE and mainstay-server[apprise]")


def discord(draft: Draft, name: str, url: str) -> None:
    """A webhook of Discord, by its id and token."""
    parts = urlsplit(url).path.rstrip("/").split("/")
    if len(parts) < 3:  # noqa: PLR2004 - …/webhooks/ID/TOKEN
        draft.note(f"channel {name}", "its Discord webhook could not be read")
        return
    apprise(draft, name, f"discord://{parts[-2]}/{parts[-1]}")


def telegram(draft: Draft, name: str, token: str, chat: str) -> None:
    """A bot of Telegram and a chat."""
    apprise(draft, name, f"tgram://{token}/{quote(chat, safe='-@')}")


def ntfy(draft: Draft, name: str, server: str, topic: str, token: str = "") -> None:
    """A topic of ntfy."""
    parts = urlsplit(server or "https://ntfy.sh")
    scheme = "ntfy" if parts.scheme == "http" else "ntfys"
    who = f"{quote(token, safe='')}@" if token else ""
    apprise(draft, name, f"{scheme}://{who}{parts.netloc}/{quote(topic, safe='')}")


def gotify(draft: Draft, name: str, server: str, token: str) -> None:
    """An application of Gotify."""
    parts = urlsplit(server)
    scheme = "gotify" if parts.scheme == "http" else "gotifys"
    path = parts.path.rstrip("/")
    apprise(draft, name, f"{scheme}://{parts.netloc}{path}/{quote(token, safe='')}")


def _add(draft: Draft, name: str, kind: str, field: str, target: str) -> None:
    if not target:
        draft.note(f"channel {name}", f"has no {field}")
        return
    draft.add("alertChannels", name, {"type": kind, "config": {field: Secret(target)}})


KINDS: dict[str, Callable[..., None]] = {
    "slack": slack,
    "webhook": webhook,
    "custom": webhook,
    "email": email,
    "pagerduty": pagerduty,
    "discord": discord,
    "telegram": telegram,
    "ntfy": ntfy,
    "gotify": gotify,
    "apprise": apprise,
}
