"""Reaching: where a target's host leads at this moment, and whether this server may go there."""

from collections.abc import Mapping
from typing import Any

from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.kernel.outbound import OutboundError, check_host_blocking, may_reach_private


def reached(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config, with the `address` that engines connect to where private ones are closed.

    A name may lead elsewhere than when it was given, and elsewhere again when an engine asks for
    it. Where all but metadata services is open, engines choose among a name's addresses. Asks the
    name service: call it outside of a transaction. Raises `EngineFailed`.
    """
    host = config.get("host")
    if not host:
        return dict(config)
    try:
        found = check_host_blocking(str(host))
    except OutboundError as error:
        raise EngineFailed(str(error)) from None
    if may_reach_private():
        return dict(config)
    return {**config, "address": min(found, key=lambda address: ":" in address)}
