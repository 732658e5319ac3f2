"""How backups are told in a terminal: their lists, one of them, its drills and its progress."""

from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from .client import plain

Json = dict[str, Any]

TONES = {
    "succeeded": "green",
    "passed": "green",
    "stored": "green",
    "running": "cyan",
    "queued": "cyan",
    "degraded": "yellow",
    "locked": "yellow",
    "failed": "red",
}
KILO = 1024
MOST_DIFFERENCES = 20
DIFFERENCES = {
    "missing": "is missing",
    "extra": "was not there before",
    "rows": "has {after:,} rows instead of {before:,}",
    "content": "has other content in its {before:,} rows",
}


def show_targets(targets: list[Json]) -> None:
    """The targets of an instance: where they are, when they were last backed up and proven.

    What is wrong with one stands below them.
    """
    table = _table("Target", "Engine", "Where", "Last backup", "Last proven", "Next", "Id")
    for each in targets:
        figures = each["figures"]
        last = figures["status"]
        table.add_row(
            escape(each["name"]) + ("" if each["enabled"] else " [dim](off)[/]"),
            each["engine"],
            escape(each["shown"]),
            f"{status(last)} {moment(figures['lastBackupAt'])}" if last else "never",
            moment(figures["lastVerifiedAt"]),
            moment(each["nextRunAt"]) if each["enabled"] else "–",  # noqa: RUF001 - the sign
            each["id"],
        )
    _print(table, targets, "Nothing is backed up yet; set up a target on the page Backups.")
    for each in targets:
        for trouble in each["troubles"]:
            Console().print(f"[red]{escape(each['name'])}[/]: {escape(trouble)}")


def show_backups(backups: list[Json]) -> None:
    """Backups, newest first."""
    table = _table("Backup", "Target", "Status", "Finished", "Size", "Proven", "Copies")
    for each in backups:
        stored = sum(copy["status"] in {"stored", "locked"} for copy in each["copies"])
        table.add_row(
            each["id"],
            escape(each["targetName"]),
            status(each["status"]) + (" [dim]kept[/]" if each["kept"] else ""),
            moment(each["finishedAt"] or each["queuedAt"]),
            size(each["sealedBytes"]),
            moment(each["verifiedAt"]),
            f"{stored} of {len(each['copies'])}",
        )
    _print(table, backups, "No backup yet; make one with mainstay backup full --wait.")


def show_backup(backup: Json) -> None:
    """Everything about one backup that fits a terminal."""
    facts = Table(box=None, pad_edge=False, show_header=False)
    for name, value in (
        ("Backup", backup["id"]),
        ("Of", f"{escape(backup['targetName'])} ({backup['engine']})"),
        ("Status", status(backup["status"])),
        ("Why", escape(backup["reason"])),
        ("Queued", moment(backup["queuedAt"])),
        ("Finished", moment(backup["finishedAt"])),
        ("Dump", size(backup["plainBytes"])),
        ("Sealed", size(backup["sealedBytes"])),
        ("Proven", moment(backup["verifiedAt"])),
        *(("Note", escape(note)) for note in backup["notes"]),
    ):
        if value:
            facts.add_row(f"[bold]{name}[/]", value)
    copies = _table("Copy at", "Status", "Checked", "What is wrong")
    for copy in backup["copies"]:
        copies.add_row(
            escape(copy["destinationName"]),
            status(copy["status"]),
            moment(copy["checkedAt"]),
            escape(copy["reason"]),
        )
    Console().print(Group(facts, "", copies))


def show_drill(drill: Json) -> None:
    """What a restore drill found."""
    console = Console()
    seconds = drill["restoreSeconds"]
    took = f" in {seconds:.1f} s" if seconds is not None else ""
    console.print(f"Drill {status(drill['status'])}{took}. {escape(drill['reason'])}".rstrip())
    show_differences(drill["differences"], console=console)


def show_differences(differences: list[Json], *, console: Console) -> None:
    """Which tables or files are not as they were."""
    for each in differences[:MOST_DIFFERENCES]:
        words = DIFFERENCES[each["what"]]
        told = words.format(before=each["rowsBefore"], after=each["rowsAfter"])
        console.print(f"  [red]{escape(plain(each['name']))}[/] {told}")
    if len(differences) > MOST_DIFFERENCES:
        console.print(f"  and {len(differences) - MOST_DIFFERENCES} more; --json has all.")


def show_preview(preview: list[Json], *, done: bool) -> None:
    """What retention removes, and by which rule the others stay."""
    table = _table("Backup", "Finished", "Size", "Stays by" if not done else "Stayed by")
    for each in preview:
        stays = ", ".join(each["reasons"])
        fate = "[red]removed[/]" if done else "[red]would go[/]"
        table.add_row(each["id"], moment(each["finishedAt"]), size(each["bytes"]), stays or fate)
    _print(table, preview, "No backups, so nothing to remove.")


def status(word: str) -> str:
    """A status in its colour."""
    return f"[{TONES.get(word, 'dim')}]{word}[/]"


def moment(text: str | None) -> str:
    """A time of the API, to the minute."""
    if not text:
        return "never"
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def size(count: float | None) -> str:
    """Bytes as people read them."""
    if count is None:
        return ""
    for unit in ("B", "KB", "MB", "GB"):
        if count < KILO:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    return f"{count:.1f} TB"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"Id", "Backup"})
    return table


def _print(table: Table, rows: list[Json], otherwise: str) -> None:
    Console().print(table if rows else otherwise)
