"""What a mail or a body says: the words by which a heartbeat tells success from failure."""

from mainstay_server.areas.heartbeats.models import Heartbeat, Signal
from mainstay_server.areas.heartbeats.schemas.reports import Report

EMAIL = "email"
POST = "POST"


def signal_of(heartbeat: Heartbeat, report: Report) -> Signal:
    """What a report means to its heartbeat.

    A method that the heartbeat does not take, and what comes while it waits for somebody to resume
    it, is kept and changes nothing. Words are looked for only in what would else be a success:
    those of failure first, then of success, then of a start.
    """
    refused = heartbeat.methods == POST and report.scheme.startswith("http")
    if refused and report.method != POST:
        return Signal.IGNORED
    texts = _searched(heartbeat, report)
    if report.signal != Signal.SUCCESS or not texts:
        return report.signal
    for words, signal in (
        (heartbeat.failure_words, Signal.FAIL),
        (heartbeat.success_words, Signal.SUCCESS),
        (heartbeat.start_words, Signal.START),
    ):
        if _contain(texts, words):
            return signal
    return Signal.FAIL if heartbeat.filter_default_fail else Signal.IGNORED


def _searched(heartbeat: Heartbeat, report: Report) -> list[str]:
    """The texts in which words are looked for; none when the heartbeat looks for none."""
    body = report.body.decode("utf-8", "replace")
    if report.scheme == EMAIL:
        subject = [report.subject] if heartbeat.filter_subject else []
        return subject + ([body] if heartbeat.filter_body else [])
    return [body] if heartbeat.filter_http_body and report.method == POST else []


def _contain(texts: list[str], words: str) -> bool:
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return any(word in text.lower() for text in texts for word in wanted)
