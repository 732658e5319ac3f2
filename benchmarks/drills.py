"""Claim: a drill costs little more than the restore that it proves.

The yardstick is the reverse of the plain pipeline, `age -d | zstd -d | pg_restore` (or `mariadb`),
into the same scratch server. The contender is what a drill does: it starts a scratch server, fills
it from the sealed copy, and compares every table with the fingerprints of the dump's snapshot.
Each part is told by itself, as a ratio to the yardstick of the same round. Memory is what the
contender and the processes it started take beyond the idle process, without the scratch server.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pymysql
from mainstay_server.areas.backups.providers import ENGINES, Engine
from mainstay_server.areas.backups.service import filling
from mainstay_server.areas.backups.service.filling import Source
from mainstay_server.areas.backups.service.manifests import Manifest
from mainstay_server.kernel.copies.running import WritePlan, Writing
from pyrage import x25519

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from tests.servers.mariadb import running_mariadb
from tests.servers.postgres import running_postgres

ROUNDS = 3
MIB = 1 << 20
SAMPLE_SECONDS = 0.05
SERVERS = frozenset({"postgres", "mariadbd"})


def seconds_of(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def peak_mib(act: Callable[[], object]) -> float:
    """The most that this process and its tools had at once while it acted, above its rest."""
    over, peak, me = threading.Event(), [0.0], psutil.Process()
    at_rest = me.memory_info().rss / MIB

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            total = 0
            for each in [me, *me.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    total += 0 if each.name() in SERVERS else each.memory_info().rss
            peak[0] = max(peak[0], total / MIB)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        act()
    finally:
        over.set()
        thread.join()
    return peak[0] - at_rest


def a_copy(engine: Engine, name: str, config: Mapping[str, Any], folder: Path) -> Source:
    """A sealed copy in the folder, and the key beside it for the plain tools."""
    identity = x25519.Identity.generate()
    (folder / "key.txt").write_text(str(identity))
    recipient = str(identity.to_public())
    plan = WritePlan("one.age", {"disk": f"file://{folder}"}, [recipient])
    with (
        engine.dumping(config, folder=folder) as dump,
        Writing(plan, plain=dump.stream) as writing,
    ):
        list(writing)
        dump.finish()
        now = datetime.now(tz=UTC)
        manifest = Manifest(
            id="one",
            key="one.age",
            engine=name,
            target="people",
            server=dump.versions.server,
            tools=dump.versions.tools,
            started_at=now,
            finished_at=now,
            sealed=writing.sealed,
            recipients=(recipient,),
            fingerprints=dump.fingerprints(),
        )
        writing.show(key="one.manifest.json", data=b"{}", beside={})
    return Source(
        manifest=manifest, destination=f"file://{folder}", identities=[str(identity)], known={}
    )


def plain(name: str, config: Mapping[str, Any], folder: Path) -> None:
    """Restore by the plain tools alone."""
    tools = {
        "postgresql": f"pg_restore --exit-on-error --single-transaction --no-owner --no-privileges"
        f" --no-comments -h {config['host']} -U {config['user']} -d {config['dbname']}",
        "mariadb": f"mariadb --no-defaults --binary-mode -S {config.get('socket')}"
        f" -u {config['user']} {config['dbname']}",
    }
    line = f"age -d -i {folder}/key.txt {folder}/one.age | zstd -d | {tools[name]}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True)  # noqa: S607 - fixed


def measure(name: str, config: Mapping[str, Any], folder: Path) -> None:
    engine = ENGINES[name]
    source = a_copy(engine, name, config, folder)
    manifest = source.manifest
    ratios: dict[str, list[float]] = {"start": [], "fill": [], "compare": [], "whole drill": []}
    yardsticks, peaks = [], []
    for _ in range(ROUNDS):
        with engine.scratch(manifest.versions, folder=folder) as scratch:
            yardsticks.append(seconds_of(lambda: plain(name, scratch, folder)))
        began = time.perf_counter()
        with engine.scratch(manifest.versions, folder=folder) as scratch:
            parts = {"start": time.perf_counter() - began}

            def fill(into: Mapping[str, Any] = scratch) -> None:
                filling.fill(engine, into, source, folder=folder, watch=lambda _progress: None)

            parts["fill"] = seconds_of(lambda: peaks.append(peak_mib(fill)))
            found = filling.compared(engine, scratch, manifest, folder=folder)
            parts["compare"] = found.seconds
            assert not found.differences, found.differences
        parts["whole drill"] = time.perf_counter() - began
        for part, seconds in parts.items():
            ratios[part].append(seconds / yardsticks[-1])
    size = manifest.sealed.plain_bytes / MIB
    print(f"{name}, a dump of {size:.0f} MiB: plain restore {statistics.median(yardsticks):.2f} s")
    for part, found_ratios in ratios.items():
        print(f"  {part:12} {statistics.median(found_ratios):.2f} times the plain restore")
    print(f"  memory       {max(peaks):.0f} MiB above the process at rest")


def main() -> None:
    """Measure PostgreSQL, then MariaDB."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mainstay-drills-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o711)
        postgres = stack.enter_context(running_postgres())
        name = postgres.new_database()
        with psycopg.connect(postgres.dsn_of(name), autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE people AS SELECT i AS id, md5(i::text) AS name, now() AS at,"
                " i / 7.0 AS balance FROM generate_series(1, 600000) AS i"
            )
            connection.execute("ALTER TABLE people ADD PRIMARY KEY (id)")
        measure("postgresql", ENGINES["postgresql"].checked({"url": postgres.dsn_of(name)}), folder)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mainstay-drills-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o711)
        maria = stack.enter_context(running_mariadb())
        name = maria.new_database()
        with pymysql.connect(host="127.0.0.1", port=maria.port, user="app", database=name) as it:
            it.cursor().execute(
                "CREATE TABLE people (id int PRIMARY KEY, name char(32), at datetime, balance"
                " double) SELECT seq AS id, MD5(seq) AS name, now() AS at, seq / 7 AS balance"
                " FROM seq_1_to_600000"
            )
            it.commit()
        url = f"mysql://app@127.0.0.1:{maria.port}/{name}"
        measure("mariadb", ENGINES["mariadb"].checked({"url": url}), folder)


if __name__ == "__main__":
    main()
