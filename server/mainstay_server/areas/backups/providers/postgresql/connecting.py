"""How a PostgreSQL is reached, which programs suit it, and which versions are there."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mainstay_server.areas.backups.schemas import EngineFailed, Versions, url_of_config
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import told_by

PROGRAM_FOLDERS = Path("/usr/lib/postgresql")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LONGEST = 255
OLDEST_SERVER = 140_000  # the first that hashes rows
CONNECT_SECONDS = 10
# So that neither another person's password file nor service file lends a target its rights.
NOBODYS_FILE = "/nonexistent"
# A server that is gone without a word is noticed within two minutes, and not within hours.
KEEPALIVES = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "6",
    "tcp_user_timeout": "120000",
}
KEYS = {"host", "port", "dbname", "user", "password", "sslmode"}
Connection = psycopg.Connection[tuple[Any, ...]]

EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
ROLES = """
SELECT DISTINCT rolname FROM pg_policy, unnest(polroles) AS role
JOIN pg_roles ON pg_roles.oid = role ORDER BY 1
"""


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take `url` apart (`postgresql://user:password@host:5432/database?sslmode=require`)."""
    try:
        given = conninfo_to_dict(url_of_config(config))
    except psycopg.ProgrammingError:  # whose text may hold the password
        raise Invalid("The url must be postgresql://user:password@host:5432/database.") from None
    if unknown := sorted(given.keys() - KEYS):
        raise Invalid(f"The url may say nothing but sslmode; leave out {', '.join(unknown)}.")
    kept = {name: str(given.get(name) or "") for name in sorted(KEYS)}
    if not (kept["host"] and kept["dbname"] and kept["user"]):
        raise Invalid("The url must name a host, a database and a user.")
    if re.search(r"[/,@\s]", kept["host"]) or any(len(value) > LONGEST for value in kept.values()):
        raise Invalid("The host must be one name or address, and nothing longer than 255.")
    kept["sslmode"] = kept["sslmode"] or "prefer"
    if kept["sslmode"] not in SSL_MODES:
        raise Invalid(f"sslmode is one of {', '.join(SSL_MODES)}.")
    return {**kept, "port": _port(kept["port"] or "5432")}


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise Invalid("The port must be a number from 1 to 65535.")
    return int(text)


def shown(config: Mapping[str, Any]) -> str:
    """Everything but the password."""
    return f"{config['user']}@{config['host']}:{config['port']}/{config['dbname']}"


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    """What PostgreSQL's programs are told, none of it on a command line."""
    return {
        "PGHOST": str(config["host"]),
        **({"PGHOSTADDR": str(config["address"])} if "address" in config else {}),
        "PGPORT": str(config["port"]),
        "PGUSER": str(config["user"]),
        "PGDATABASE": str(config["dbname"]),
        "PGPASSWORD": str(config["password"]),
        "PGSSLMODE": str(config["sslmode"]),
        "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
        "PGAPPNAME": "mainstay backup",
        "PGPASSFILE": NOBODYS_FILE,
        "PGSERVICEFILE": NOBODYS_FILE,
    }


def only_database(config: Mapping[str, Any]) -> str:
    """`--dbname`: the name alone, quoted, since it would be read as a connection string."""
    return f"--dbname={make_conninfo(dbname=config['dbname'])}"


@contextmanager
def connected(config: Mapping[str, Any]) -> Iterator[Connection]:
    """A connection without any timeout of the server's; raises `EngineFailed`."""
    reached = {name: config[name] for name in (*KEYS, "port")} | KEEPALIVES
    if "address" in config:  # the host stays what its certificate must say
        reached["hostaddr"] = config["address"]
    try:
        connection = psycopg.connect(
            **reached,
            passfile=NOBODYS_FILE,
            connect_timeout=CONNECT_SECONDS,
            application_name="mainstay backup",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise EngineFailed(f"{shown(config)} cannot be reached: {_told(error, config)}") from None
    try:
        with connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            yield connection
    except psycopg.Error as error:
        raise EngineFailed(f"{shown(config)} says: {_told(error, config)}") from None


def _told(error: psycopg.Error, config: Mapping[str, Any]) -> str:
    text = str(error).strip()
    return text.replace(config["password"], "…") if config["password"] else text


def program(name: str) -> str:
    """The newest such program here: one of PostgreSQL serves older servers, too."""
    folders = sorted(
        PROGRAM_FOLDERS.glob("*/bin"),
        key=lambda folder: (
            float(folder.parent.name) if folder.parent.name.replace(".", "", 1).isdigit() else 0.0
        ),
        reverse=True,
    )
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise Conflict(
            f"{name} is not on this machine; install PostgreSQL's programs (Debian's package:"
            " postgresql, or postgresql-client for dumps alone).",
            code="tools-missing",
        )
    return found


def major(version: str) -> int:
    """The major version, since 10 the first number."""
    found = re.match(r"\d+", version)
    assert found is not None, version
    return int(found.group())


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The server's and our tools' versions; raises `Conflict` when the tools are older."""
    with connected(config) as connection:
        return versions_on(connection)


def versions_on(connection: Connection) -> Versions:
    """As `find_versions`, over a connection that is open."""
    told = told_by([program("pg_dump"), "--version"])  # pg_dump (PostgreSQL) 15.18 (Debian …)
    tools = re.search(r"\) (\S+)", told)
    assert tools is not None, told
    number = connection.info.server_version
    if number < OLDEST_SERVER:
        raise Conflict(
            "The server is older than PostgreSQL 14, whose rows cannot be compared here; upgrade"
            " it, as nobody mends that version any more.",
            code="server-too-old",
        )
    server = f"{number // 10000}.{number % 10000}"
    if major(tools.group(1)) < major(server):
        raise Conflict(
            f"pg_dump here is of version {tools.group(1)}, and the server of {server}; install"
            f" PostgreSQL's programs of version {major(server)} or later on this machine.",
            code="tools-older",
        )
    return Versions(
        server=server,
        tools=tools.group(1),
        extensions=tuple(name for (name,) in connection.execute(EXTENSIONS)),
        roles=tuple(name for (name,) in connection.execute(ROLES)),
    )
