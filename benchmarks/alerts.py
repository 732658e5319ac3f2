"""How many notifications a second are delivered, against a bare client; and how soon one comes.

Run: `python benchmarks/alerts.py [--alerts 100] [--rounds 3] [--singles 200]`

The server is the program as its users start it. Alerts are opened by its API, and each is told to
twenty channels: webhooks in one half of a round, addresses at an SMTP server in the other. The
clock runs from the first request until the last message has arrived, so the figure holds all that
lies between: storing alerts, choosing who is told, and the delivery. The yardstick is as many
threads as the server has senders, which hand the same number of messages of that size to the same
receivers and do nothing else. Then alerts are opened one at a time, and the time from the request
to the message at the receiver is taken.
"""

import argparse
import smtplib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import httpx2 as httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.journeys.running import (  # noqa: E402 - found by the line above
    TOKEN,
    Mainstay,
    running_mainstay,
)
from tests.servers.http import HttpReceiver, running_http  # noqa: E402
from tests.servers.smtp import SmtpServer, running_smtp  # noqa: E402

CHANNELS = 20
SENDERS = 12
PATIENCE_SECONDS = 300.0
SINGLES_PER_SECOND = 10


def main() -> None:
    """Run the rounds and print both ratios and the latency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=200)
    options = parser.parse_args()
    with running_http() as hook, running_smtp() as mailbox, told_server(mailbox) as mainstay:
        hooks = HookSide(hook)
        mails = MailSide(mailbox)
        rates: dict[str, list[tuple[float, float]]] = {"webhook": [], "mail": []}
        for _ in range(options.rounds):
            for name, side in (("webhook", hooks), ("mail", mails)):
                with channels(mainstay, side.configs()):
                    ours = rate(lambda: open_alerts(mainstay, options.alerts), side, options.alerts)
                bare = rate(side.send_bare(options.alerts * CHANNELS), side, options.alerts)
                rates[name].append((ours, bare))
                print(f"{name:8}{ours:8.0f} /s   bare client {bare:8.0f} /s", flush=True)
        for name, both in rates.items():
            ours, bare = (statistics.median(one) for one in zip(*both, strict=True))
            print(f"{name:8}{ours:8.0f} /s   bare client {bare:.0f} /s   ratio {ours / bare:.2f}")
        with channels(mainstay, hooks.configs()[:1]):
            print_latency(delays(mainstay, hook, options.singles))


class HookSide:
    """Webhooks: twenty addresses at one receiver."""

    def __init__(self, receiver: HttpReceiver) -> None:
        self._receiver = receiver
        self._sample = b""

    def configs(self) -> list[dict[str, object]]:
        return [
            {"type": "webhook", "config": {"webhookUrl": f"{self._receiver.url}/{number}"}}
            for number in range(CHANNELS)
        ]

    def wait_for(self, count: int) -> None:
        """Return once so many have arrived; they are forgotten then."""
        self._sample = self._receiver.wait_for(count, timeout_seconds=PATIENCE_SECONDS)[0].body
        self._receiver.clear()

    def send_bare(self, count: int) -> Callable[[], None]:
        """What posts so many bodies of the size that was seen last."""

        def send(share: int) -> None:
            with httpx.Client() as client:
                for _ in range(share):
                    client.post(f"{self._receiver.url}/bare", content=self._sample)

        return lambda: side_by_side(send, count)


class MailSide:
    """Mail: twenty addresses, one server."""

    def __init__(self, mailbox: SmtpServer) -> None:
        self._mailbox = mailbox
        self._sample = EmailMessage()

    def configs(self) -> list[dict[str, object]]:
        return [
            {"type": "email", "config": {"email": f"team-{number}@ships.example"}}
            for number in range(CHANNELS)
        ]

    def wait_for(self, count: int) -> None:
        """Return once so many have arrived; they are forgotten then."""
        self._sample = self._mailbox.wait_for(count, timeout_seconds=PATIENCE_SECONDS)[0].message
        self._mailbox.clear()

    def send_bare(self, count: int) -> Callable[[], None]:
        """What hands over so many messages like the one seen last, a connection for each."""

        def send(share: int) -> None:
            for _ in range(share):
                with smtplib.SMTP(self._mailbox.host, self._mailbox.port) as client:
                    client.send_message(self._sample)

        return lambda: side_by_side(send, count)


def side_by_side(send: Callable[[int], None], count: int) -> None:
    """Send so many in as many threads as the server has senders."""
    shares = [count // SENDERS + (number < count % SENDERS) for number in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, shares))


def rate(act: Callable[[], None], side: HookSide | MailSide, alerts: int) -> float:
    """Messages per second from the first act until the last has arrived."""
    began = time.perf_counter()
    act()
    side.wait_for(alerts * CHANNELS)
    return alerts * CHANNELS / (time.perf_counter() - began)


@contextmanager
def told_server(mailbox: SmtpServer) -> Iterator[Mainstay]:
    """A server that tells each alert at once and by itself."""
    settings = {
        "MAINSTAY_ALERTS_GROUP_INTERVAL_SECONDS": "0",
        "MAINSTAY_SMTP_HOST": mailbox.host,
        "MAINSTAY_SMTP_PORT": str(mailbox.port),
        "MAINSTAY_SMTP_FROM": "app@ships.example",
    }
    with running_mainstay(settings) as mainstay:
        yield mainstay


@contextmanager
def channels(mainstay: Mainstay, configs: Sequence[dict[str, object]]) -> Iterator[None]:
    """Have these channels of the instance, and no others, for the length of the block."""
    path = f"/api/instances/{mainstay.instance_id}/alert-channels"
    made = [mainstay.call("POST", path, json=config) for config in configs]
    assert all(answer.is_success for answer in made), made[0].text
    yield
    for answer in made:
        gone = mainstay.call("DELETE", f"{path}/{answer.json()['id']}")
        assert gone.is_success, gone.text


@contextmanager
def opener(mainstay: Mainstay) -> Iterator[Callable[[], None]]:
    """What opens an alert that differs from all others, over one connection."""
    path = f"{mainstay.url}/api/instances/{mainstay.instance_id}/alerts"
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as client:

        def open_alert() -> None:
            title = f"Alert {uuid4().hex}"
            body = {"type": "backup_failed", "severity": "warning", "title": title}
            client.post(path, json=body).raise_for_status()

        yield open_alert


def open_alerts(mainstay: Mainstay, count: int) -> None:
    """Open so many alerts, one after the other."""
    with opener(mainstay) as open_alert:
        for _ in range(count):
            open_alert()


def delays(mainstay: Mainstay, hook: HttpReceiver, singles: int) -> list[float]:
    """Seconds from the request that opens an alert until its message has arrived."""
    found = []
    with opener(mainstay) as open_alert:
        for _ in range(singles):
            began = time.perf_counter()
            open_alert()
            hook.wait_for(1)
            found.append(time.perf_counter() - began)
            hook.clear()
            time.sleep(max(0.0, 1 / SINGLES_PER_SECOND - found[-1]))
    return found


def print_latency(seconds: Sequence[float]) -> None:
    """Print median and 99th percentile."""
    parts = statistics.quantiles(seconds, n=100)
    print(
        f"an alert is told after {parts[49] * 1e3:.0f} ms (median),"
        f" {parts[98] * 1e3:.0f} ms (p99 of {len(seconds)})"
    )


if __name__ == "__main__":
    main()
