"""The command `mainstay probe`: asks health checks from this machine for a server elsewhere."""

import asyncio
import logging
import os
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer

from mainstay_server.areas.health_checks.service.buffer import Buffer, BufferInUse
from mainstay_server.areas.health_checks.service.outpost import Outpost, OutpostOptions, Refused
from mainstay_server.areas.remediation.service.commander import (
    Commander,
    CommanderOptions,
    commands_in,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.clock import utc_now

from .connections import allow_files
from .version import VERSION

EXIT_REFUSED = 77  # EX_NOPERM of sysexits.h
EXIT_BAD_SETTING = 78  # EX_CONFIG
MIB = 1 << 20
TOKEN = "MAINSTAY_PROBE_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_FOLDER = Path("~/.local/state/mainstay-probe")


def probe(  # noqa: PLR0913 - one option each
    server: Annotated[str, typer.Option(help="Where the server is, as https://…")],
    token: Annotated[
        str, typer.Option(help="The probe's token.", envvar=TOKEN, show_envvar=True)
    ] = "",
    data_dir: Annotated[
        Path, typer.Option(help="Where results wait while the server is away.")
    ] = DEFAULT_FOLDER,
    buffer_mib: Annotated[int, typer.Option(min=1, max=10_240, help="How much may wait.")] = 64,
    *,
    commands: Annotated[
        Path | None,
        typer.Option(help="A TOML file of what remediation may run here, by name."),
    ] = None,
    public_only: Annotated[
        bool, typer.Option("--public-only", help="Ask no private addresses.")
    ] = False,
    allow_plain: Annotated[
        bool, typer.Option("--allow-plain", help="Show the token to a server without TLS.")
    ] = False,
) -> None:
    """Ask health checks from here, and report to the server. Every connection goes out."""
    _log_plainly()
    try:
        options = OutpostOptions(
            server=_checked_server(server, allow_plain=allow_plain),
            token=_checked_token(token),
            version=VERSION,
        )
        commander = _commander(options, commands)
        buffer = Buffer(data_dir.expanduser(), most_bytes=buffer_mib * MIB)
    except (BufferInUse, ValueError, OSError) as refusal:
        _refuse(str(refusal), EXIT_BAD_SETTING)
    allow_files()
    outbound.open_outbound(
        allow_private=not public_only, ca_pem=os.environ.get("MAINSTAY_OUTBOUND_CA")
    )
    try:
        asyncio.run(_work(options, buffer, commander))
    except Refused as refusal:
        _refuse(str(refusal), EXIT_REFUSED)
    finally:
        buffer.close()
        outbound.close_outbound()


async def _work(options: OutpostOptions, buffer: Buffer, commander: Commander | None) -> None:
    stop = asyncio.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    typer.echo(f"This probe works for {options.server}; it ends with Ctrl-C.")
    commanding = None if commander is None else asyncio.create_task(commander.run(stop))
    try:
        await Outpost(options, buffer, clock=utc_now).run(stop)
    finally:
        stop.set()
        if commanding is not None:
            await commanding


def _commander(options: OutpostOptions, path: Path | None) -> Commander | None:
    """What runs commands here, if a file says which. Raises `ValueError` with what is wrong."""
    if path is None:
        return None
    allowed = commands_in(path.expanduser())
    return Commander(CommanderOptions(server=options.server, token=options.token, commands=allowed))


def _checked_server(server: str, *, allow_plain: bool) -> str:
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("--server must be an address such as https://mainstay.example.com.")
    if parts.scheme == "http" and not allow_plain and not _is_loopback(parts.hostname):
        raise ValueError(
            "--server is not https: its token, and secrets of checks, would cross the network in"
            " the open. Use https, or say --allow-plain on a network of yours."
        )
    return server.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_token(token: str) -> str:
    found = token.strip()
    if not found:
        raise ValueError(f"Give the probe's token as --token or {TOKEN}.")
    if not found.isascii() or any(letter.isspace() for letter in found):
        raise ValueError("That is no token of a probe: copy it again, whole and alone.")
    return found


def _refuse(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _log_plainly() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
