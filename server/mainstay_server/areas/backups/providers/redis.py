"""Redis: its own snapshot (RDB), taken as a replica takes it, and moved back key by key."""

import os
import re
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.exceptions import RedisError

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprint,
    Fingerprints,
    RestoreFailed,
    ScratchFailed,
    Versions,
    digest_of,
    url_of_config,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import (
    KEPT_BYTES,
    Program,
    ProgramFailed,
    lesser_user,
    own_folder,
    running,
    told_by,
)

LABEL = "Redis"
EXTENSION = "rdb"
SERVER = "redis-server"
OLDEST_TOOLS = (7, 0)  # the first whose DEBUG can be switched on, and with PEXPIRETIME
CHUNK_BYTES = 1 << 20
LONGEST_LINE = 4096
SIZE = re.compile(rb"\$(\d{1,15})")
ANSWER_SECONDS = 60.0
LOAD_SECONDS = 3600.0
KEYS_AT_ONCE = 64
MOST_DATABASES = 1024


class RedisDump:
    """A snapshot that has arrived, on its way from a file."""

    def __init__(self, stream: BinaryIO, path: Path, versions: Versions) -> None:
        self.stream = stream
        self.versions = versions
        self._path = path

    def finish(self) -> None:
        """The snapshot was whole before its first byte was read."""

    def fingerprints(self) -> Fingerprints:
        """Of the snapshot, loaded by a server of our own: Redis has no other look at one state."""
        try:
            with scratch(self.versions, folder=self._path.parent) as config:
                with self._path.open("rb") as snapshot:
                    _load(config, snapshot)
                return _digested(config)
        except EngineFailed as error:
            raise DumpFailed(str(error)) from error

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in one file."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Nothing: a snapshot is whole."""
        return ()


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take `url` apart: `redis://user:password@host:6379`, or `rediss://` for TLS."""
    try:
        url = urlsplit(url_of_config(config))
        host, port = url.hostname, url.port or 6379
    except ValueError:  # whose text may hold the password
        host, port = None, 0
        url = urlsplit("")
    if url.scheme not in {"redis", "rediss"} or not host:
        raise Invalid("The url must be redis://user:password@host:6379, or rediss:// for TLS.")
    return {
        "host": host,
        "port": port,
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "tls": url.scheme == "rediss",
    }


def shown(config: Mapping[str, Any]) -> str:
    """Everything but the password."""
    return f"{config['host']}:{config['port']}"


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The server's and our tools'; a snapshot is only read by the same version or a later one."""
    program = shutil.which(SERVER)
    if program is None:
        raise Conflict(
            "redis-server is not on this machine; install it (Debian's package: redis-server).",
            code="tools-missing",
        )
    found = re.search(r"v=(\S+)", told_by([program, "--version"]))
    tools = found.group(1) if found else "0"
    with _asking(config) as client:
        server = str(client.info("server")["redis_version"])
    if _number(tools) < max(_number(server), OLDEST_TOOLS):
        raise Conflict(
            f"redis-server here is of version {tools}, and the target of {server}; install version"
            f" {server} or later, and at least 7.0, on this machine.",
            code="tools-older",
        )
    return Versions(server=server, tools=tools)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[RedisDump]:
    """Be a replica until the snapshot has arrived in a file; its user needs SYNC and INFO alone.

    The server makes the snapshot in a process of its own, as it does for each replica.
    """
    path = folder / "snapshot.rdb"
    try:
        try:
            versions = find_versions(config)
            path.touch(mode=0o600, exist_ok=False)  # others may go through the folder
            with path.open("wb") as file:
                _receive_snapshot(config, file)
        except (OSError, EngineFailed) as error:
            raise DumpFailed(f"{shown(config)} gave no snapshot: {error}") from None
        with path.open("rb") as stream:
            yield RedisDump(stream, path, versions)
    finally:
        path.unlink(missing_ok=True)


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse a server that is older or holds a key or a function."""
    with _asking(config) as client:
        there = str(client.info("server")["redis_version"])
        if _number(there) < _number(versions.server):
            raise Conflict(
                f"The backup is of Redis {versions.server}, and the target is {there}; restore it"
                f" into version {versions.server} or later.",
                code="target-older",
            )
        if held := sorted(client.info("keyspace")):
            raise Conflict(
                f"The target is not empty, there are keys in {held[0]}; restore into an empty one.",
                code="target-not-empty",
            )
        if _number(there) >= OLDEST_TOOLS and client.function_list():
            raise Conflict(
                "The target is not empty, it has functions; restore into an empty one.",
                code="target-not-empty",
            )


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Load the snapshot into a server of our own, and move each key with its end to the target.

    A scratch server loads it itself. When it breaks off, the keys moved so far stay.
    """
    check_restore(config, versions)
    if "scratch" in config:
        _load(config, stream)
        return
    with scratch(versions, folder=folder) as between:
        _load(between, stream)
        with _asking(between) as source, _asking(config) as target:
            names = list(source.info("keyspace"))
            target.execute_command("FUNCTION", "RESTORE", source.function_dump())  # type: ignore[no-untyped-call]
        for database in (int(name.removeprefix("db")) for name in names):
            with (
                _asking(between, database=database) as source,
                _asking(config, database=database) as target,
            ):
                _move_keys(source, target)


def _move_keys(source: Redis, target: Redis) -> None:
    cursor = None
    while cursor != 0:
        cursor, keys = source.scan(cursor or 0, count=KEYS_AT_ONCE)
        reading = source.pipeline(transaction=False)
        for key in keys:
            reading.dump(key)
            reading.execute_command("PEXPIRETIME", key)  # type: ignore[no-untyped-call]
        read = reading.execute()
        writing = target.pipeline(transaction=False)
        for key, content, ends in zip(keys, read[::2], read[1::2], strict=True):
            if content is not None:
                writing.restore(key, max(0, ends), content, absttl=ends > 0)
        writing.execute()


def empty(config: Mapping[str, Any]) -> None:
    """Remove all keys of all databases, and all functions."""
    with _asking(config) as client:
        client.flushall()
        client.execute_command("FUNCTION", "FLUSH")  # type: ignore[no-untyped-call]


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now: of a snapshot that nobody keeps."""
    if "scratch" in config:
        return _digested(config)
    with dumping(config, folder=folder) as dump:
        return dump.fingerprints()


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Run one that nobody else reaches.

    It takes itself for a replica whose master is away: such a one never lets a key expire by
    itself, so that the same snapshot is the same tomorrow.
    """
    home = folder / "redis"
    try:
        user = lesser_user("redis", "nobody")
        own_folder(home, user)
        command = [
            *(shutil.which(SERVER) or SERVER, "--port", "0", "--save", "", "--appendonly", "no"),
            *("--unixsocket", str(home / "s"), "--unixsocketperm", "700", "--dir", str(home)),
            *("--dbfilename", "dump.rdb", "--logfile", str(home / "log"), "--loglevel", "warning"),
            *("--enable-debug-command", "yes", "--databases", str(MOST_DATABASES)),
            *("--replicaof", "127.0.0.1 1", "--replica-read-only", "no"),
        ]
        with running(command, folder=home, user=user, ends_by=signal.SIGKILL) as server:
            config = {"scratch": str(home), "host": str(home), "port": 0}
            _wait_until_ready(server, config)
            yield config
    except (ProgramFailed, OSError) as error:
        raise ScratchFailed(f"No scratch Redis: {error}") from error
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(server: Program, config: Mapping[str, Any]) -> None:
    """Until it answers: before that it may yet look for a file to load, and take half of ours."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not _answers(config):
        if server.has_ended() or time.monotonic() > deadline:
            raise ScratchFailed(f"No scratch Redis: {_log(config) or server.last_lines()}")
        time.sleep(0.02)


def _answers(config: Mapping[str, Any]) -> bool:
    try:
        with _asking(config) as client:
            return Path(config["scratch"], "s").exists() and bool(client.ping())
    except EngineFailed:
        return False


def _load(config: Mapping[str, Any], stream: BinaryIO) -> None:
    """Let a scratch server load a snapshot, which tries its checksum; raises `RestoreFailed`."""
    home = Path(config["scratch"])
    owner = home.stat()
    with (home / "dump.rdb").open("wb") as file:
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        shutil.copyfileobj(stream, file, CHUNK_BYTES)
    try:
        with _asking(config, answer_seconds=LOAD_SECONDS) as client:
            client.execute_command("DEBUG", "RELOAD", "NOSAVE")  # type: ignore[no-untyped-call]
    except EngineFailed as error:
        told = _log(config) or str(error)
        raise RestoreFailed(f"The snapshot cannot be loaded: {told}") from None


def _log(config: Mapping[str, Any]) -> str:
    log = Path(config["scratch"], "log")
    return log.read_bytes()[-KEPT_BYTES:].decode(errors="replace").strip() if log.exists() else ""


def _digested(config: Mapping[str, Any]) -> Fingerprints:
    """The keys of each database, and the server's own digest of all of them.

    It depends neither on their order nor on how values are kept in memory.
    """
    with _asking(config, answer_seconds=LOAD_SECONDS) as client:
        found = [
            Fingerprint(name, held["keys"], digest_of(f"{held['expires']} end"))
            for name, held in client.info("keyspace").items()
        ]
        digest = client.execute_command("DEBUG", "DIGEST")  # type: ignore[no-untyped-call]
    keys = sum(each.rows for each in found)
    return tuple(sorted([*found, Fingerprint("(content)", keys, digest.decode()[:32])]))


@contextmanager
def _asking(
    config: Mapping[str, Any], *, database: int = 0, answer_seconds: float = ANSWER_SECONDS
) -> Iterator[Redis]:
    """A client; raises `EngineFailed` for whatever the server refuses."""
    reached: dict[str, Any] = (
        {"unix_socket_path": str(Path(config["scratch"], "s"))}
        if "scratch" in config
        else {"host": _host_of(config), "port": config["port"], "ssl": config["tls"]}
    )
    try:
        with Redis(
            **reached,
            username=config.get("user") or None,
            password=config.get("password") or None,
            socket_timeout=answer_seconds,
            db=database,
        ) as client:
            yield client
    except RedisError as error:
        raise EngineFailed(f"{shown(config)} says: {error}") from None


def _host_of(config: Mapping[str, Any]) -> str:
    """With TLS the name, which the other side's certificate must prove; else what it led to."""
    return str(config["host"] if config["tls"] else config.get("address", config["host"]))


def _receive_snapshot(config: Mapping[str, Any], file: BinaryIO) -> None:
    """SYNC as https://redis.io/docs/latest/operate/oss_and_stack/management/replication tells it.

    A replica that claims no abilities is sent the length, then the snapshot, then every write for
    as long as it listens, which we do not.
    """
    address = config.get("address", config["host"])
    with socket.create_connection((address, config["port"]), ANSWER_SECONDS) as plain:
        connection = plain
        if config["tls"]:
            context = ssl.create_default_context()
            connection = context.wrap_socket(plain, server_hostname=config["host"])
        with connection, connection.makefile("rb") as answers:
            if config["password"]:
                names = [name for name in (config["user"], config["password"]) if name]
                connection.sendall(_command("AUTH", *names))
                _answer(answers)
            connection.sendall(_command("SYNC"))
            _copy(answers, file, _size(_answer(answers)))


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def _answer(answers: BinaryIO) -> bytes:
    """The next line that says something: empty ones tell that the server is at work."""
    while (line := answers.readline(LONGEST_LINE)) == b"\n":
        pass
    if not line or line.startswith(b"-"):
        raise DumpFailed(line[1:].decode(errors="replace").strip() or "the connection ended")
    return line.strip()


def _size(line: bytes) -> int:
    """How many bytes follow. Whoever answers may be anybody: -1 would be all there ever come."""
    found = SIZE.fullmatch(line)
    if found is None:
        raise DumpFailed("it answers as no Redis does")
    return int(found.group(1))


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    left = size
    while left:
        chunk = source.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise DumpFailed(f"the connection ended {left} bytes before the end")
        left -= len(chunk)
        target.write(chunk)


def _number(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
