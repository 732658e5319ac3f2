"""Kinds of channels: one file each; a new kind is a file and a line in `KINDS`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.kernel.posting import invalid

from . import (
    apprise,
    datadog,
    discord,
    email,
    ntfy,
    pagerduty,
    slack,
    teams,
    telegram,
    webhook,
)


class ChannelKind(Protocol):
    """What a file of this folder offers.

    `FIELDS` are the fields of a channel's config, the target first; form, API and documents follow
    them. `SIGNED` says whether a channel of this kind has a secret of its own to sign with.
    `PER_MINUTE` is how many messages a minute the service takes of one channel, 0 if it does not
    say; a channel may have a limit of its own.
    """

    LABEL: str
    FIELDS: Sequence[ConfigField]
    SIGNED: bool
    PER_MINUTE: int

    def checked(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The config as it is kept, without what is empty. Raises `Invalid` with the next step."""

    def shown(self, config: Mapping[str, Any]) -> str:
        """Where the channel leads, fit for any eye: secrets in it are masked."""

    def not_ready(self) -> str:
        """Why no channel of this kind can deliver at present, with the fix; empty when it can."""

    def send(
        self,
        notice: Notice,
        *,
        config: Mapping[str, Any],
        secrets: Sequence[str],
        delivery_id: str,
        now: datetime,
    ) -> str:
        """Hand the notice over, outside any transaction; returning means that it was taken.

        `delivery_id` is the same on every try, and the receiver is shown it, so that it can tell a
        repetition. `secrets` are what a signed kind signs with, the newest first. Returns what the
        receiver calls the message, for what is to stand beneath it; empty where it does not say.
        Raises `RetryLater`, `Refused`, `ReceiverGone` or `ReceiverMissing`.
        """


KINDS: dict[str, ChannelKind] = {
    "webhook": webhook,
    "email": email,
    "slack": slack,
    "teams": teams,
    "discord": discord,
    "telegram": telegram,
    "ntfy": ntfy,
    "pagerduty": pagerduty,
    "datadog": datadog,
    "apprise": apprise,
}


# Over there every alert is a thing of its own, opened and closed by its key: nothing is gathered.
ONE_BY_ONE = frozenset({"pagerduty"})


def known_fields(kind: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config, if it has no field that its kind does not know. Raises `Invalid`."""
    names = [field.name for field in KINDS[kind].FIELDS]
    for name in config:
        if name not in names:
            raise invalid(name, f"is no field of a {kind}; it has {', '.join(names)}")
    return config


def masked(kind: str, config: Mapping[str, Any]) -> dict[str, str]:
    """The config as anybody may see it: what leads there masked, and nothing of what is secret."""
    shown: dict[str, str] = {}
    for number, field in enumerate(KINDS[kind].FIELDS):
        if not (value := str(config.get(field.name, ""))):
            continue
        if number == 0:
            value = KINDS[kind].shown(config)
        shown[field.name] = "…" if field.secret and number else value
    return shown


def secret_fields(kind: str, config: Mapping[str, Any]) -> list[str]:
    """The fields of a config that do not show what they hold."""
    shown = masked(kind, config)
    return [name for name, value in config.items() if shown.get(name) != value]
