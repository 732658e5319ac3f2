"""Telling receivers that are in trouble, each in its own way, while the server is killed."""

import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.crashing import (
    GATHERED_SECONDS,
    LEASE_SECONDS,
    TOLD_SECONDS,
    Notified,
    alerting,
    alerts_of,
    all_told_by,
    asked,
    due_of,
    kill_and_restart,
)
from tests.journeys.loads import FlakyReceiver, flaky_receiver
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.http import Answer
from tests.servers.smtp import ReceivedMail, SmtpServer
from tests.waiting import eventually
from typing_extensions import override

TROUBLES = {
    "hangs": Answer(hang=True),
    "closes": Answer(close=True),
    "is busy": Answer(status=429, headers={"Retry-After": "1"}),
}
LATER = "451 4.3.2 try again later"
TITLE = re.compile(r"Alert [0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Try:
    """One message that reached a receiver: under which key, of what, and whether it was taken."""

    key: str
    told: frozenset[Notified]
    taken: bool


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one receiver heard, in order, and what the history says it is due."""

    tries: Sequence[Try]
    due: frozenset[Notified]

    @property
    def taken(self) -> list[Notified]:
        """Each notification that was taken, in the order of the first time."""
        return list(dict.fromkeys(told for one in self.tries if one.taken for told in one.told))

    @property
    def keys(self) -> dict[Notified, set[str]]:
        """The keys under which each notification came, whatever was answered."""
        keys = defaultdict(set)
        for one in self.tries:
            for told in one.told:
                keys[told].add(one.key)
        return keys


class TroubledMailbox(SmtpServer):
    """A mail server that answers every second message with 451 until it `is_well`."""

    def __init__(self, seed: int) -> None:
        super().__init__(username=None, password="", tls=None, implicit_tls=False)
        self.is_well = False
        self.answered: list[tuple[ReceivedMail, str]] = []
        self._random = random.Random(seed)

    @override
    def reply_to_message(self, mail: ReceivedMail) -> str:
        refused = not self.is_well and self._random.random() < 0.5
        reply = LATER if refused else super().reply_to_message(mail)
        self.answered.append((mail, reply))
        return reply


@contextmanager
def troubled_mailbox(seed: int) -> Iterator[TroubledMailbox]:
    mailbox = TroubledMailbox(seed)
    mailbox.start()
    try:
        yield mailbox
    finally:
        mailbox.stop()


def tell_through_kills(folder: Path, *, kills: int, seed: int) -> dict[str, Heard]:
    """Open and end alerts, kill the server again and again; returns what each receiver heard."""
    chance = random.Random(seed)
    data = folder / "data"
    with ExitStack() as stack:
        mailbox = stack.enter_context(troubled_mailbox(seed))
        hooks = {
            name: stack.enter_context(flaky_receiver(seed, bad=(answer,)))
            for name, answer in TROUBLES.items()
        }
        settings = {
            "MAINSTAY_LEASE_SECONDS": str(LEASE_SECONDS),
            "MAINSTAY_ALERTS_GROUP_INTERVAL_SECONDS": str(GATHERED_SECONDS),
            "MAINSTAY_SMTP_HOST": mailbox.host,
            "MAINSTAY_SMTP_PORT": str(mailbox.port),
            "MAINSTAY_SMTP_FROM": "app@ships.example",
        }
        mainstay = stack.enter_context(running_mainstay(settings, data_dir=data))
        add_channel(mainstay, "email", {"email": "team@ships.example"})
        for hook in hooks.values():
            add_channel(mainstay, "webhook", {"webhookUrl": f"{hook.url}/hook"})
        instance = mainstay.instance_id
        with alerting(mainstay, instance, chance, pauses_seconds=(0.05, 0.2)) as acknowledged:
            for _ in range(kills):
                time.sleep(chance.uniform(0.2, 2.0))
                kill_and_restart(mainstay, chance)
            time.sleep(1)
        mailbox.is_well = True
        for hook in hooks.values():
            hook.is_well = True
        eventually(lambda: not waiting_in(data), within_seconds=TOLD_SECONDS)
        titles = {
            alert["title"]: alert["id"] for alert in alerts_of(mainstay, mainstay.instance_id)
        }
        assert set(acknowledged) <= set(titles.values()), "an acknowledged alert is gone"
        every = {name: tries_of(hook) for name, hook in hooks.items()}
        every["answers 451"] = mails_of(mailbox, titles)
        heard = {name: heard_by(mainstay, tries) for name, tries in every.items()}
        assert mainstay.stop() == 0
        return heard


def faults_of(heard: Mapping[str, Heard]) -> list[str]:
    """Everything that breaks a promise, in words; empty when all were kept."""
    faults = []
    for name, one in heard.items():
        taken = one.taken
        every = {
            "notifications were never taken": sorted(map(str, one.due - set(taken))),
            "notifications came under several keys": [
                str(told) for told, keys in one.keys.items() if len(keys) > 1
            ],
            "alerts were told to be over before they began": [
                told.alert_id
                for told in taken
                if told.change == "alert.opened"
                and (over := Notified(alert_id=told.alert_id, change="alert.resolved")) in taken
                and taken.index(over) < taken.index(told)
            ],
        }
        faults += [
            f"who {name}: {len(what)} {text}: {what[:5]}" for text, what in every.items() if what
        ]
    return faults


def add_channel(mainstay: Mainstay, kind: str, config: Mapping[str, str]) -> None:
    path = f"/api/instances/{mainstay.instance_id}/alert-channels"
    added = mainstay.call("POST", path, json={"type": kind, "config": config})
    assert added.status_code == 201, added.text


def waiting_in(data: Path) -> int:
    """How many deliveries are not done yet, of whatever kind."""
    ((count,),) = asked(data, "SELECT count(*) FROM outbox_deliveries WHERE status = 'waiting'")
    return int(count)


def tries_of(hook: FlakyReceiver) -> list[Try]:
    taken = {id(received) for received in hook.taken()}
    return [
        Try(
            key=received.headers["idempotency-key"],
            told=frozenset(all_told_by(received.body)),
            taken=id(received) in taken,
        )
        for received, _ in hook.answered
    ]


def mails_of(mailbox: TroubledMailbox, titles: Mapping[str, str]) -> list[Try]:
    """Every mail as a try; the ids of the alerts that it tells of are found by their titles."""
    return [
        Try(
            key=str(mail.message["Message-ID"]),
            told=frozenset(
                Notified(alert_id=titles[title], change=change_of(mail))
                for title in TITLE.findall(mail.text)
            ),
            taken=reply.startswith("250"),
        )
        for mail, reply in mailbox.answered
    ]


def change_of(mail: ReceivedMail) -> str:
    return "alert.resolved" if mail.subject.startswith("[resolved]") else "alert.opened"


def heard_by(mainstay: Mainstay, tries: Sequence[Try]) -> Heard:
    taken = {told for one in tries if one.taken for told in one.told}
    return Heard(tries=tries, due=frozenset(due_of(mainstay, mainstay.instance_id, taken)))
