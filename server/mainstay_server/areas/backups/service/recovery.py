"""The recovery sheet: one page to print, with which a backup is restored when Mainstay is gone."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from mainstay_server.areas.backups.service.manifests import Manifest, public_key
from mainstay_server.kernel.clock import rfc3339

KEY_FILE = "key.txt"
START_CLUSTER = (
    'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin | tr " " ":")" pg_ctl --pgdata restored'
    ' --options "-k $PWD/restored -c listen_addresses=" --log restored/log --wait start'
)
# For postgresql.auto.conf of a restored cluster that was not started yet, with recovery.signal.
TAKE_FROM_LOG = (
    "echo \"restore_command = 'cp $PWD/log/%f %p || cp $PWD/log/%f.partial %p'\""
    " > for-postgresql.auto.conf"
)
RESTORES: dict[str, tuple[str, ...]] = {
    "postgresql": (
        "createdb restored",
        "pg_restore --exit-on-error --no-owner --no-privileges --dbname restored {dump}",
    ),
    "postgresql_cluster": (
        "mkdir --mode 700 restored",
        "tar --extract --file {dump} --directory restored",
        "test -f restored/postgresql.conf || touch restored/postgresql.conf",
        "test -f restored/pg_hba.conf || echo 'local all all peer' > restored/pg_hba.conf",
        START_CLUSTER,
    ),
    "postgresql_log": (
        "mkdir --parents --mode 700 log",
        "tar --extract --file {dump} --directory log",
        TAKE_FROM_LOG,
    ),
    "sqlite": ("sqlite3 {dump} 'PRAGMA integrity_check'", "cp {dump} restored.db"),
    "mariadb": (
        "mariadb-admin create restored",
        "mariadb --binary-mode --max-allowed-packet=1G restored < {dump}",
    ),
    "redis": (
        "redis-check-rdb {dump}",
        "mkdir restored",
        "cp {dump} restored/dump.rdb",
        "redis-server --dir restored --port 0 --unixsocket redis.sock --daemonize yes",
        "until redis-cli -s restored/redis.sock ping | grep PONG; do sleep 1; done",
        "redis-cli -s restored/redis.sock info keyspace",
    ),
    "export": ("mkdir restored", "tar --extract --file {dump} --directory restored"),
    "mainstay": (
        "mkdir --mode 700 data",
        "tar --extract --file {dump} --directory data",
        "mainstay up --data-dir data",
    ),
    "files": ("mkdir restored", "tar --extract --file {dump} --directory restored"),
}
PACKAGES = {
    "postgresql": "postgresql-client",
    "postgresql_cluster": "postgresql",
    "postgresql_log": "postgresql",
    "mariadb": "mariadb-client",
    "redis": "redis-server redis-tools",
    "sqlite": "sqlite3",
    "export": "tar",
    "mainstay": "tar",
    "files": "tar",
}


@dataclass(frozen=True)
class Step:
    """One thing to do: what for, and the commands, a line each."""

    title: str
    commands: tuple[str, ...]


def commands(manifest: Manifest) -> list[str]:
    """Every command of the sheet, in order, as a shell takes them."""
    return [command for step in steps(manifest) for command in step.commands]


def steps(manifest: Manifest) -> list[Step]:
    """What to do, from the sealed file to the restored target.

    They begin in a folder that has the copy, as it lies at a destination, and the secret key.
    """
    sealed = quote(manifest.key.rpartition("/")[2])
    dump = quote(_dump_name(manifest))
    packages = " ".join(("age", "zstd", *sorted({PACKAGES.get(manifest.engine, "")} - {""})))
    sums = manifest.sealed
    return [
        Step("Install what it takes", (f"apt-get install {packages}",)),
        Step(
            "Check that the copy is as it was written",
            (f"echo '{sums.sealed.sha256}  '{sealed} | sha256sum --check",),
        ),
        Step(
            "Open it with the secret key; both tools refuse what is not as it was written",
            (f"age --decrypt --identity {KEY_FILE} {sealed} | zstd --decompress -o {dump}",),
        ),
        Step(
            "Restore it",
            tuple(each.format(dump=dump) for each in RESTORES.get(manifest.engine, ()))
            or tuple(manifest.restore),
        ),
    ]


def as_text(manifest: Manifest, lies_at: Sequence[str] = ()) -> str:
    """The sheet as plain text; `lies_at` are the places where copies lie."""
    facts = "\n".join(f"{name}: {value}" for name, value in _facts(manifest, lies_at))
    parts = [f"{_title(manifest)}\n{'=' * len(_title(manifest))}\n\n{_introduction()}\n\n{facts}"]
    for number, step in enumerate(steps(manifest), 1):
        lines = "\n".join(f"    {command}" for command in step.commands)
        parts.append(f"{number}. {step.title}\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def as_html(manifest: Manifest, lies_at: Sequence[str] = ()) -> str:
    """The sheet as one page that needs nothing else, made to be printed."""
    title = html.escape(_title(manifest))
    facts = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in _facts(manifest, lies_at)
    )
    listed = "".join(
        f"<li>{html.escape(step.title)}<pre>{html.escape(chr(10).join(step.commands))}</pre></li>"
        for step in steps(manifest)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{html.escape(_introduction())}</p>"
        f"<table>{facts}</table><ol>{listed}</ol></body></html>\n"
    )


STYLE = (
    "body{font:11pt/1.4 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "h1{overflow-wrap:anywhere}th{text-align:left;vertical-align:top;padding-right:1rem;white-space:nowrap}"
    "td,pre{font-family:ui-monospace,monospace;font-size:9pt;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;background:#f3f3f3;padding:.5rem}li{break-inside:avoid}"
)


def _title(manifest: Manifest) -> str:
    return f"How to restore {manifest.target} of {rfc3339(manifest.started_at)[:10]}"


def _introduction() -> str:
    return (
        "This needs no Mainstay: only the copy, a secret key that belongs to one of the recipients"
        f" below (in {KEY_FILE}), and common tools."
    )


def _facts(manifest: Manifest, lies_at: Sequence[str]) -> Sequence[tuple[str, str]]:
    sums = manifest.sealed
    return (
        ("Backup", manifest.id),
        ("Made", f"{rfc3339(manifest.started_at)} to {rfc3339(manifest.finished_at)}"),
        ("Of", f"{manifest.target} ({manifest.engine} {manifest.server})"),
        ("With", manifest.tools),
        *(("Copies lie in", each) for each in lies_at),
        ("Copy", manifest.key),
        ("Manifest", manifest.manifest_key),
        ("Manifest is signed by", public_key()),
        *(("Recipient", each) for each in manifest.recipients),
        *((f"Beside it, {each.name}", each.key) for each in manifest.beside),
        ("Dump", f"{sums.plain_bytes} bytes"),
        ("Compressed (zstd)", f"{sums.compressed_bytes} bytes"),
        ("Sealed (age)", f"{sums.sealed.size_bytes} bytes, SHA-256 {sums.sealed.sha256}"),
    )


def _dump_name(manifest: Manifest) -> str:
    return manifest.key.rpartition("/")[2].removesuffix(".age").removesuffix(".zst")
