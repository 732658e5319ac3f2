"""The Redis check: PING, with a password where there is one, and a command of your own."""

import shlex
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    Secret,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Wire

LABEL = "Redis or Valkey"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BODY"})
EXAMPLE: Mapping[str, Any] = {"host": "cache.example.com", "password": "…", "tls": True}
MOST_BULK_BYTES = 64 * 1024
MOST_ITEMS = 1_000
DEEPEST = 8
MOST_DIGITS = 20
# It runs, but does not serve everything yet: loading its data, or its primary is away.
DEGRADED = ("LOADING", "MASTERDOWN")


class Budget:
    """What one answer may cost, in all."""

    def __init__(self) -> None:
        self._left = {b"$": MOST_BULK_BYTES, b"*": MOST_ITEMS}

    def takes(self, kind: bytes, count: int) -> bool:
        """Whether so many bytes of texts, or items of lists, are still within it."""
        self._left[kind] -= count
        return self._left[kind] >= 0


class RedisSaysNo(Exception):
    """An error that the server answered."""


def _checked_command(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"is not a command: {str(error).lower()}") from None
    return text


class Config(ProviderConfig):
    """Where it is and who asks. `command` is asked after PING, such as `GET health` or `DBSIZE`."""

    host: Host
    port: Port = 6379
    tls: bool = False
    username: Annotated[str, Field(max_length=200)] = ""
    password: Secret | None = None
    command: Annotated[str, Field(max_length=500), AfterValidator(_checked_command)] = ""


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Sign in, PING, and ask the command; what it answers is `[BODY]`."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    trouble: str = ""
    answer: object = None
    try:
        async with outbound.dial(
            config.host,
            config.port,
            timeout_seconds=order.timeout_seconds,
            tls=outbound.tls_context() if config.tls else None,
        ) as wire:
            try:
                answer = await _talk(wire, config)
            except RedisSaysNo as refused:
                trouble = str(refused)
            values = {"IP": wire.address, "BODY": answer}
            result = order.answered(wire.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    if not trouble:
        return result
    soft = trouble.startswith(DEGRADED)
    state = HealthState.DEGRADED if soft else HealthState.UNHEALTHY
    return result.worsened(state, f"answered {trouble}")


async def _talk(wire: Wire, config: Config) -> object:
    if config.password is not None:
        names = [config.username] if config.username else []
        await _ask_one(wire, ["AUTH", *names, config.password.get_secret_value()])
    answer = await _ask_one(wire, ["PING"])
    if config.command:
        answer = await _ask_one(wire, shlex.split(config.command))
    return answer


async def _ask_one(wire: Wire, words: list[str]) -> object:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    await wire.send(b"".join(parts))
    return await _read(wire, Budget())


async def _read(wire: Wire, budget: Budget, depth: int = 0) -> object:  # noqa: C901 - one branch per type
    """One reply of RESP 2, never larger than what is worth looking at."""
    line = await wire.read_line()
    kind, rest = line[:1], line[1:].decode("utf-8", "replace")
    if kind == b"-":
        if depth:
            return rest
        raise RedisSaysNo(rest[:200])
    if kind == b"+":
        return rest
    count = int(rest) if rest.removeprefix("-").isdigit() and len(rest) < MOST_DIGITS else None
    if count is None or kind not in (b":", b"$", b"*"):
        raise OutboundError("protocol", f"{wire.host} does not speak the protocol of Redis")
    if kind == b":":
        return count
    if count < 0:
        return None
    if not budget.takes(kind, count) or depth > DEEPEST:
        raise OutboundError("protocol", f"{wire.host} answers with more than a check should ask")
    if kind == b"*":
        return [await _read(wire, budget, depth + 1) for _ in range(count)]
    return (await wire.read_exactly(count + 2))[:count].decode("utf-8", "replace")
