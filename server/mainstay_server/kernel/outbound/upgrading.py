"""STARTTLS in the words of each protocol that has it: what is said before TLS begins."""

import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping

from mainstay_server.kernel.outbound.dialing import Wire
from mainstay_server.kernel.outbound.errors import OutboundError

MOST_LINES = 100
OUR_NAME = b"mainstay.invalid"

# RFC 4511 section 4.14: an extended request, message 1, that names StartTLS.
LDAP_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
LDAP_SUCCESS = b"\x0a\x01\x00"
POSTGRES_SSL_REQUEST = struct.pack("!II", 8, 80877103)
# MySQL's client capabilities: long passwords, protocol 4.1, TLS, transactions, secure connections.
MYSQL_WITH_TLS = 0x1 | 0x200 | 0x800 | 0x2000 | 0x8000
MYSQL_OFFERS_TLS = 0x800
MOST_PACKET_BYTES = 4096


async def begin_tls(
    wire: Wire, protocol: str, *, context: ssl.SSLContext, server_name: str
) -> None:
    """Ask in the words of a protocol for TLS, then begin it; the greeting is read here too.

    Raises `OutboundError`, of kind protocol when the other side does not want to.
    """
    await DIALOGUES[protocol](wire)
    await wire.secure(context, server_name=server_name)


async def read_reply(wire: Wire) -> tuple[int, list[str]]:
    """One reply of SMTP or FTP (RFC 5321 section 4.2): its code and its lines."""
    lines: list[str] = []
    while len(lines) < MOST_LINES:
        line = (await wire.read_line()).decode("utf-8", "replace")
        code = line[:3]
        if not code.isdigit():
            raise _not_this(wire, "mail or files", line)
        lines.append(line[4:])
        if line[3:4] != "-":
            return int(code), lines
    raise OutboundError("protocol", f"{wire.host} answers without an end.")


async def _smtp(wire: Wire) -> None:
    code, lines = await read_reply(wire)
    _must(wire, code == 220, lines)  # noqa: PLR2004 - a reply code
    await wire.send(b"EHLO " + OUR_NAME + b"\r\n")
    code, lines = await read_reply(wire)
    _must(wire, code == 250, lines)  # noqa: PLR2004 - a reply code
    await wire.send(b"STARTTLS\r\n")
    code, lines = await read_reply(wire)
    _must(wire, code == 220, lines)  # noqa: PLR2004 - a reply code


async def _ftp(wire: Wire) -> None:
    code, lines = await read_reply(wire)
    _must(wire, code == 220, lines)  # noqa: PLR2004 - a reply code
    await wire.send(b"AUTH TLS\r\n")
    code, lines = await read_reply(wire)
    _must(wire, code == 234, lines)  # noqa: PLR2004 - a reply code


async def _imap(wire: Wire) -> None:
    greeting = await wire.read_line()
    if not greeting.startswith((b"* OK", b"* PREAUTH")):
        raise _not_this(wire, "IMAP", greeting.decode("utf-8", "replace"))
    await wire.send(b"a STARTTLS\r\n")
    for _ in range(MOST_LINES):
        line = await wire.read_line()
        if line.startswith(b"a "):
            _must(wire, line.startswith(b"a OK"), [line.decode("utf-8", "replace")])
            return
    raise OutboundError("protocol", f"{wire.host} answers without an end.")


async def _pop3(wire: Wire) -> None:
    greeting = await wire.read_line()
    if not greeting.startswith(b"+OK"):
        raise _not_this(wire, "POP3", greeting.decode("utf-8", "replace"))
    await wire.send(b"STLS\r\n")
    line = await wire.read_line()
    _must(wire, line.startswith(b"+OK"), [line.decode("utf-8", "replace")])


async def _ldap(wire: Wire) -> None:
    await wire.send(LDAP_START_TLS)
    head = await wire.read_exactly(2)
    length = head[1]
    if length & 0x80:
        length = int.from_bytes(await wire.read_exactly(min(length & 0x7F, 4)), "big")
    if head[0] != 0x30 or length > MOST_PACKET_BYTES:  # noqa: PLR2004 - ASN.1's SEQUENCE
        raise _not_this(wire, "LDAP", head.hex())
    _must(wire, LDAP_SUCCESS in await wire.read_exactly(length), ["it refused"])


async def _postgres(wire: Wire) -> None:
    await wire.send(POSTGRES_SSL_REQUEST)
    _must(wire, await wire.read_exactly(1) == b"S", ["its configuration has ssl = off"])


async def _mysql(wire: Wire) -> None:
    head = await wire.read_exactly(4)
    length = int.from_bytes(head[:3], "little")
    if not 0 < length <= MOST_PACKET_BYTES:
        raise _not_this(wire, "MySQL", head.hex())
    greeting = await wire.read_exactly(length)
    version_ends = greeting.find(b"\0", 1)
    if greeting[0] != 10 or version_ends < 0:  # noqa: PLR2004 - the version of its handshake
        raise _not_this(wire, "MySQL", greeting[3:60].decode("utf-8", "replace"))
    at = version_ends + 1 + 4 + 8 + 1
    capabilities = int.from_bytes(greeting[at : at + 2], "little")
    _must(wire, bool(capabilities & MYSQL_OFFERS_TLS), ["it does not offer TLS"])
    body = struct.pack("<IIB23x", MYSQL_WITH_TLS, 1 << 24, 45)
    await wire.send(len(body).to_bytes(3, "little") + b"\x01" + body)


def _must(wire: Wire, agreed: bool, lines: list[str]) -> None:  # noqa: FBT001 - read as a sentence
    if not agreed:
        said = lines[0][:200] if lines else "nothing"
        raise OutboundError("protocol", f"{wire.host} does not begin TLS: {said}")


def _not_this(wire: Wire, protocol: str, said: str) -> OutboundError:
    return OutboundError("protocol", f"{wire.host} does not speak {protocol}: {said[:100]!r}")


DIALOGUES: Mapping[str, Callable[[Wire], Awaitable[None]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ftp": _ftp,
    "ldap": _ldap,
    "postgres": _postgres,
    "mysql": _mysql,
}
