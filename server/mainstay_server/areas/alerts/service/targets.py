"""Where a channel leads once it is changed, and which of its secrets go along."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.areas.alerts.providers import KINDS, known_fields, secret_fields
from mainstay_server.kernel.problems import Invalid


def merged(channel: AlertChannel, given: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a channel with some fields changed; an empty one is taken away.

    Secrets of the server that there was stay behind when the channel leads to another one.
    """
    changed = {**channel.config, **known_fields(channel.type, given)}
    behind = set(_left_behind(channel, changed)) - set(given)
    return {name: value for name, value in changed.items() if name not in behind}


def refuse_secrets_of_another_server(channel: AlertChannel, config: Mapping[str, Any]) -> None:
    """Raises `Invalid` if the config, a whole one, takes a secret to another server."""
    for name in _left_behind(channel, config):
        if config.get(name) == channel.config[name]:
            raise Invalid.of_field(name, f"{name} is another server's; give that of the new one.")


def _left_behind(channel: AlertChannel, config: Mapping[str, Any]) -> list[str]:
    target = KINDS[channel.type].FIELDS[0].name
    before, after = _host_of(channel.config.get(target)), _host_of(config.get(target))
    if after in ("", before):
        return []
    return [name for name in secret_fields(channel.type, channel.config) if name != target]


def _host_of(target: object) -> str:
    try:
        return urlsplit(str(target or "")).hostname or ""
    except ValueError:
        return ""
