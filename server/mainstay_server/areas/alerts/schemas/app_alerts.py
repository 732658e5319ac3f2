"""Shapes of what apps send: wire/alerts, accepted."""

from typing import Annotated

import msgspec
from msgspec import Meta

from mainstay_server.contracts.alerts.severities import Severity

MOST_ALERTS = 50
MOST_METADATA = 20

Name = Annotated[str, Meta(min_length=1, max_length=60)]
Fact = Annotated[str, Meta(max_length=500)]


class ReceivedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert of an app; `id` is the same when it is sent again."""

    id: Annotated[str, Meta(min_length=8, max_length=64)]
    severity: Severity
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    message: Annotated[str, Meta(max_length=1500)] = ""
    metadata: Annotated[dict[Name, Fact], Meta(max_length=MOST_METADATA)] = {}


class AlertBatch(msgspec.Struct, frozen=True, rename="camel"):
    """What an SDK sends at once."""

    alerts: Annotated[list[ReceivedAlert], Meta(min_length=1, max_length=MOST_ALERTS)]
    environment: Annotated[str, Meta(min_length=1, max_length=64)] = "production"
    release: Annotated[str, Meta(max_length=200)] = ""
    server_name: Annotated[str, Meta(max_length=200)] = ""
