"""Kinds of channels: one file each; a new kind is a file and a line in `KINDS`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from mainstay_server.areas.alerts.schemas import Notice

from . import apprise, email, pagerduty, slack, webhook


class ChannelKind(Protocol):
    """What a file of this folder offers.

    `CONFIG_KEY` is the one field of a channel's config, `SIGNED` whether a channel of this kind
    has a secret of its own to sign with. `TARGET`, `PLACEHOLDER` and `HINT` draw its field.
    """

    LABEL: str
    CONFIG_KEY: str
    SIGNED: bool
    TARGET: str
    PLACEHOLDER: str
    HINT: str

    def checked(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The config as it is kept. Raises `Invalid` with the next step."""

    def shown(self, config: Mapping[str, Any]) -> str:
        """Where the channel leads, fit for any eye: secrets in it are masked."""

    def not_ready(self) -> str:
        """Why no channel of this kind can deliver at present, with the fix; empty when it can."""

    def send(
        self,
        notice: Notice,
        *,
        config: Mapping[str, Any],
        secret: str,
        delivery_id: str,
        now: datetime,
    ) -> None:
        """Hand the notice over, outside any transaction; returning means that it was taken.

        `delivery_id` is the same on every try, and the receiver is shown it, so that it can tell a
        repetition. Raises `RetryLater`, `Refused` or `ReceiverGone`.
        """


KINDS: dict[str, ChannelKind] = {
    "webhook": webhook,
    "email": email,
    "slack": slack,
    "pagerduty": pagerduty,
    "apprise": apprise,
}
