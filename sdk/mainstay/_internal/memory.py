"""How much of its memory this machine or container uses."""

import os
from pathlib import Path


def used_percent(root: Path = Path("/")) -> float | None:
    """Return the memory in use in percent, or None where it cannot be read.

    In a container with a limit (cgroup v2) it is measured against that limit, because the kernel
    kills there; else against the machine's memory. Page cache that the kernel would give back is
    not counted as used, neither here nor there.
    """
    percent = _of_cgroup(root)
    return _of_machine(root) if percent is None else percent


def resident_bytes(pid: int, root: Path = Path("/")) -> int | None:
    """Return the memory that a process holds, or None where it cannot be read."""
    try:
        pages = int((root / f"proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _of_cgroup(root: Path) -> float | None:
    try:
        group = root / "sys/fs/cgroup" / _own_cgroup(root)
        limit_text = (group / "memory.max").read_text().strip()
        if limit_text == "max":
            return None
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(stat.get("inactive_file", 0))
        return _percent(used, int(limit_text))
    except (OSError, ValueError):
        return None


def _own_cgroup(root: Path) -> str:
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::").strip().lstrip("/")
    return ""


def _of_machine(root: Path) -> float | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        total, available = (int(values[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        return _percent(total - available, total)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _percent(used: int, total: int) -> float | None:
    return round(100 * max(used, 0) / total, 1) if total > 0 else None
