"""How a MariaDB or MySQL is reached, which programs suit it, and which versions are there."""

import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.cursors import Cursor

from mainstay_server.areas.backups.schemas import EngineFailed, Versions, url_of_config
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import told_by

VERIFIED = "verify-identity"
SSL_MODES = ("disabled", "preferred", "required", VERIFIED)
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
LONGEST = 255
CONNECT_SECONDS = 10
WRONG = "The url must be mysql://user:password@host:3306/database."
# What a row looks like must not depend on who looks at it, and nothing must time out meanwhile.
SESSION = (
    "SET SESSION sql_mode = '', time_zone = '+00:00', lock_wait_timeout = 60",
    "SET SESSION wait_timeout = 86400, net_read_timeout = 86400, net_write_timeout = 86400",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
FOREVER = {True: "SET SESSION max_statement_time = 0", False: "SET SESSION max_execution_time = 0"}
DEFINERS = """
SELECT definer FROM information_schema.triggers WHERE trigger_schema = DATABASE()
UNION SELECT definer FROM information_schema.routines WHERE routine_schema = DATABASE()
UNION SELECT definer FROM information_schema.views WHERE table_schema = DATABASE()
"""
EVENTS_DEFINERS = """
UNION SELECT definer FROM information_schema.events WHERE event_schema = DATABASE()
"""
RIGHTS = """
SELECT privilege_type FROM information_schema.user_privileges
UNION SELECT privilege_type FROM information_schema.schema_privileges
    WHERE DATABASE() LIKE table_schema
"""
Connection: TypeAlias = "pymysql.Connection[Cursor]"


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take `url` apart (`mysql://user:password@host:3306/database?ssl-mode=required`)."""
    try:
        url = urlsplit(url_of_config(config))
        port = url.port or 3306
    except ValueError:  # whose text may hold the password
        raise Invalid(WRONG) from None
    if url.scheme not in {"mysql", "mariadb"}:
        raise Invalid(WRONG)
    options = dict(parse_qsl(url.query))
    mode = options.pop("ssl-mode", "preferred")
    if options:
        raise Invalid(f"The url may say nothing but ssl-mode; leave out {', '.join(options)}.")
    if mode not in SSL_MODES:
        raise Invalid(f"ssl-mode is one of {', '.join(SSL_MODES)}.")
    kept = {
        "host": url.hostname or "",
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "dbname": unquote(url.path.removeprefix("/")),
    }
    _refuse_odd(kept)
    return {**kept, "port": port, "sslmode": mode}


def _refuse_odd(kept: Mapping[str, str]) -> None:
    if not (kept["host"] and kept["dbname"] and kept["user"]):
        raise Invalid("The url must name a host, a database and a user.")
    if re.search(r"[/,@\s]", kept["host"]) or any(len(value) > LONGEST for value in kept.values()):
        raise Invalid("The host must be one name or address, and nothing longer than 255.")
    if any(not value.isprintable() for value in kept.values()) or kept["dbname"].startswith("-"):
        raise Invalid("Names and passwords hold printable characters, and no database begins by -.")


def shown(config: Mapping[str, Any]) -> str:
    """Everything but the password."""
    return f"{config['user']}@{config['host']}:{config['port']}/{config['dbname']}"


@contextmanager
def options_file(config: Mapping[str, Any], *, folder: Path, tool: str) -> Iterator[str]:
    """The words that tell a program where to go; what it needs stands in a file only we read."""
    path = folder / f"client-{os.urandom(8).hex()}.cnf"
    lines = ["[client]", f"user={_quoted(config['user'])}"]
    lines.append(f"password={_quoted(config['password'])}")
    if "socket" in config:
        lines.append(f"socket={_quoted(config['socket'])}")
    else:
        host = config["host"] if config["sslmode"] == VERIFIED else _address_of(config)
        lines += [f"host={_quoted(host)}", f"port={config['port']}", "protocol=tcp"]
        lines += _told_of_tls(config["sslmode"], is_mariadb="MariaDB" in tool)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        yield f"--defaults-file={path}"
    finally:
        path.unlink(missing_ok=True)


def _quoted(value: str) -> str:
    """As option files take it (https://mariadb.com/kb/en/configuring-mariadb-with-option-files)."""
    return '"{}"'.format(str(value).replace("\\", "\\\\").replace('"', '\\"'))


def _told_of_tls(mode: str, *, is_mariadb: bool) -> list[str]:
    if not is_mariadb:
        lines = [f"ssl-mode={mode.upper().replace('-', '_')}"]
        return [*lines, f"ssl-ca={CERTIFICATES}"] if mode == "verify-identity" else lines
    return {
        "disabled": ["skip-ssl"],
        "preferred": ["loose-disable-ssl-verify-server-cert"],
        "required": ["ssl", "loose-disable-ssl-verify-server-cert"],
        "verify-identity": ["ssl", f"ssl-ca={CERTIFICATES}", "ssl-verify-server-cert"],
    }[mode]


@contextmanager
def connected(config: Mapping[str, Any]) -> Iterator[Connection]:
    """A connection that sees rows in one canonical form; raises `EngineFailed`."""
    try:
        connection = pymysql.connect(
            host=config["host"],
            port=config["port"],
            **_tls_of(config["sslmode"]),
            user=config["user"],
            password=config["password"],
            database=config["dbname"],
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
            defer_connect=True,
        )
        connection.connect(_way_to(config))
    except (pymysql.Error, OSError, RuntimeError) as error:
        raise EngineFailed(f"{shown(config)} cannot be reached: {_told(error, config)}") from None
    try:
        with connection:
            for statement in (*SESSION, FOREVER[is_mariadb(server_version(connection))]):
                ask(connection, statement)
            yield connection
    except pymysql.Error as error:
        raise EngineFailed(f"{shown(config)} says: {_told(error, config)}") from None


def _way_to(config: Mapping[str, Any]) -> socket.socket | None:
    """Where the library is not to ask for the name itself; the name stays what it verifies."""
    if "socket" in config:
        return _socket_of(config["socket"])
    if "address" not in config:
        return None
    made = socket.create_connection((config["address"], config["port"]), CONNECT_SECONDS)
    made.settimeout(None)  # as the library does with its own
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made


def _address_of(config: Mapping[str, Any]) -> str:
    return str(config.get("address", config["host"]))


def _socket_of(path: str) -> socket.socket:
    """Ours to close when nobody listens, which the library forgets."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def _tls_of(mode: str) -> dict[str, Any]:
    """What the library is told; by itself it prefers TLS, and given a context it insists."""
    if mode == "preferred":
        return {}
    if mode == "disabled":
        return {"ssl_disabled": True}
    context = ssl.create_default_context()
    if mode == "required":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def ask(connection: Connection, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall()


def _told(error: Exception, config: Mapping[str, Any]) -> str:
    text = str(error.args[-1] if error.args else error).strip()
    return text.replace(config["password"], "…") if config["password"] else text


def with_events(connection: Connection, statement: str, events: str) -> str:
    """A statement and its part about events, which a server that has them disabled refuses."""
    return f"{statement} {events}" if has_events(connection) else statement


def has_events(connection: Connection) -> bool:
    """Whether the server lets anybody look at events."""
    ((scheduler,),) = ask(connection, "SELECT @@event_scheduler")
    return str(scheduler).upper() != "DISABLED"


def programs(*, is_mariadb: bool, plain: str) -> str:
    """The path of `mariadb-…` or `mysql…` for a server of that flavour."""
    other = "mariadb" + ("" if plain == "mysql" else f"-{plain.removeprefix('mysql')}")
    for name in (other, plain) if is_mariadb else (plain, other):
        if found := shutil.which(name):
            return found
    raise Conflict(
        f"{other} is not on this machine; install MariaDB's programs (Debian's package:"
        " mariadb-client, and mariadb-server for drills).",
        code="tools-missing",
    )


def is_mariadb(version: str) -> bool:
    """Whether a version is MariaDB's; all others are MySQL's."""
    return "MariaDB" in version


def release(version: str) -> tuple[int, int]:
    """The first two numbers, within which nothing of the format changes."""
    found = re.search(r"(\d+)\.(\d+)", version)
    assert found is not None, version
    return int(found.group(1)), int(found.group(2))


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The server's and our tools' versions; raises `Conflict` when the tools are older."""
    with connected(config) as connection:
        return versions_on(connection)


def server_version(connection: Connection) -> str:
    """Such as `10.11.6-MariaDB` or `8.0.36`."""
    ((told,),) = ask(connection, "SELECT VERSION()")
    found = re.match(r"[\d.]+(-MariaDB)?", str(told))
    assert found is not None, told
    return found.group()


def tool_version(program: str) -> str:
    """As the program tells it, without its build.

    `mariadb-dump from 11.4.2-MariaDB, client 10.19 …`, `… Ver 10.19 Distrib 10.11.6-MariaDB, …`,
    `mysqldump  Ver 8.0.36 for Linux …`.
    """
    told = told_by([program, "--version"])
    found = re.search(r"(?:from|Distrib|Ver) (\d+\.\d+\.\d+(?:-MariaDB)?)", told)
    assert found is not None, told
    return found.group(1)


def versions_on(connection: Connection) -> Versions:
    """As `find_versions`, over a connection that is open."""
    server = server_version(connection)
    tools = tool_version(programs(is_mariadb=is_mariadb(server), plain="mysqldump"))
    if is_mariadb(server) == is_mariadb(tools) and release(tools) < release(server):
        raise Conflict(
            f"mariadb-dump here is of version {tools}, and the server of {server}; install the"
            " programs of the server's version or later on this machine.",
            code="tools-older",
        )
    definers = ask(connection, with_events(connection, DEFINERS, EVENTS_DEFINERS))
    return Versions(
        server=server,
        tools=tools,
        roles=tuple(sorted(definer for (definer,) in definers)),
    )
