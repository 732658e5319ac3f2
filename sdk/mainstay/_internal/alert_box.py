"""Alerts that the app sends, waiting to be delivered: wire/alerts, produced."""

import json
import threading
from collections import deque
from typing import Any, Final, NamedTuple

from mainstay._internal.clock import rfc3339
from mainstay._internal.message import SDK_NAME, SDK_VERSION, Origin

MOST_WAITING: Final = 200
MOST_AT_ONCE: Final = 50


class SentAlert(NamedTuple):
    """One alert; ``id`` is the same however often it is sent, so that it is heard once."""

    id: str
    at: float
    severity: str
    title: str
    message: str
    metadata: dict[str, str]


class AlertBox:
    """At most ``MOST_WAITING`` alerts, the oldest kept: what came first is what went wrong first.

    The lock is reentrant, for the reason that ``Backlog`` names.
    """

    name = "alerts"

    def __init__(self, *, path: str, key: str, origin: Origin) -> None:
        self.path = path
        self.headers = {
            "X-Sentry-Auth": (
                f"Sentry sentry_key={key}, sentry_version=7, sentry_client={SDK_NAME}/{SDK_VERSION}"
            )
        }
        self.origin = origin
        self._items: deque[SentAlert] = deque()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, alert: SentAlert) -> bool:
        """Keep an alert until it is delivered; False when there is no room for it."""
        with self._lock:
            if len(self._items) >= MOST_WAITING:
                return False
            self._items.append(alert)
            return True

    def take(self) -> "_Parcel":
        """Take the oldest out."""
        with self._lock:
            count = min(MOST_AT_ONCE, len(self._items))
            return _Parcel(self, [self._items.popleft() for _ in range(count)])

    def put_back(self, alerts: list[SentAlert]) -> None:
        """Have them wait again, in front of the others."""
        with self._lock:
            self._items.extendleft(reversed(alerts))


class _Parcel(NamedTuple):
    """Some alerts on their way."""

    box: AlertBox
    alerts: list[SentAlert]

    def encode(self, sent_at: float) -> bytes:
        origin = self.box.origin
        body: dict[str, Any] = {
            "sdk": {"name": SDK_NAME, "version": SDK_VERSION},
            "environment": origin.environment,
        }
        if origin.release is not None:
            body["release"] = origin.release
        if origin.server_name is not None:
            body["serverName"] = origin.server_name
        body["sentAt"] = rfc3339(sent_at)
        body["alerts"] = [each._asdict() | {"at": rfc3339(each.at)} for each in self.alerts]
        return json.dumps(body, separators=(",", ":")).encode()

    def put_back(self) -> None:
        self.box.put_back(self.alerts)

    def give_up(self) -> None:
        """Forget them: the server has said why it takes none of them."""
