"""Alerts by hand: the app says itself that something needs people."""

import uuid
from collections.abc import Mapping
from typing import Final

from mainstay._internal.alert_box import SentAlert
from mainstay._internal.client import active_client
from mainstay._internal.shield import SHIELD, logger

SEVERITIES: Final = ("info", "low", "medium", "warning", "high", "critical")
OTHER_WORDS: Final = {"debug": "info", "warn": "warning", "error": "high", "fatal": "critical"}
LONGEST_TITLE: Final = 200
LONGEST_MESSAGE: Final = 1500
MOST_METADATA: Final = 20
LONGEST_NAME: Final = 60
LONGEST_VALUE: Final = 500


def send_alert(
    severity: str,
    title: str,
    message: str = "",
    metadata: Mapping[str, object] | None = None,
) -> bool:
    """Tell people that something needs them; it costs microseconds and never waits or raises.

    ``severity`` is ``info``, ``low``, ``medium`` (the same as ``warning``), ``high`` or
    ``critical``. Of one title at most one alert is active in an instance; sending it again counts
    it. ``metadata`` are up to 20 facts to show beside it; ``runbook`` among them is the URL or
    the name of a runbook. What is too long is cut.

    It is sent in the background until the server has stored it, and heard once however often
    that takes. Returns whether it was queued: not while Mainstay is off, nor beyond 200 that wait.
    """
    with SHIELD:
        client = active_client()
        if client is None:
            return False
        alert = SentAlert(
            id=uuid.uuid4().hex,
            at=client.clock.wall(),
            severity=_known(severity),
            title=str(title).strip()[:LONGEST_TITLE] or "(untitled)",
            message=str(message)[:LONGEST_MESSAGE],
            metadata=_facts(metadata or {}),
        )
        queued = client.alert(alert)
        if not queued:
            logger.warning("Too many alerts wait to be delivered; %r is lost.", alert.title)
        return queued
    return False


def _known(severity: str) -> str:
    word = str(severity).lower()
    word = OTHER_WORDS.get(word, word)
    if word in SEVERITIES:
        return word
    logger.warning("%r is no severity; the alert goes as a warning.", severity)
    return "warning"


def _facts(metadata: Mapping[str, object]) -> dict[str, str]:
    facts = list(metadata.items())[:MOST_METADATA]
    return {str(name)[:LONGEST_NAME]: str(value)[:LONGEST_VALUE] for name, value in facts}
