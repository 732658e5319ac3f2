"""Claim: Mainstay starts in seconds and rests in a few hundred megabytes, embedded engine included.

The yardstick is the time Python takes to import the three largest things inside it, in the same
run. Start-up is from the start of the process to its first answer on /healthz, on data that exists;
memory is measured ten seconds later (RSS counts shared pages whole, PSS its share of them).
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

STARTS = 5
IDLE_SECONDS = 10
LONGEST_SECONDS = 60
PROGRAM = Path(sys.executable).parent / "mainstay"
YARDSTICK = "import fastapi, sqlalchemy, chdb"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(data: str) -> tuple[subprocess.Popen[bytes], float]:
    """A Mainstay on the data, and how many seconds it took to answer."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(PROGRAM), "up", "--port", str(port), "--data-dir", data],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not answers(port):
        if process.poll() is not None or time.perf_counter() - began > LONGEST_SECONDS:
            process.kill()
            raise TimeoutError("Mainstay did not start; run the command by hand to see why.")
        time.sleep(0.01)
    return process, time.perf_counter() - began


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except (URLError, ConnectionError):
        return False


def stop(process: subprocess.Popen[bytes]) -> float:
    """End it as an operator would; returns how many seconds that took."""
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    process.wait(LONGEST_SECONDS)
    return time.perf_counter() - began


def memory_mib(pid: int) -> dict[str, float]:
    """RSS and PSS of a process; empty where the system does not tell."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if not rollup.exists():
        return {}
    rows = (line.split() for line in rollup.read_text(encoding="ascii").splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows if row[0] in ("Rss:", "Pss:")}


def yardstick_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", YARDSTICK], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="mainstay-start-") as data:
        stop(started(data)[0])  # makes the data, and warms the disk's cache
        starts, yardsticks, stops = [], [], []
        for _ in range(STARTS):
            yardsticks.append(yardstick_seconds())
            process, seconds = started(data)
            starts.append(seconds)
            stops.append(stop(process))
        process, _ = started(data)
        time.sleep(IDLE_SECONDS)
        memory = memory_mib(process.pid)
        stop(process)
    start, yardstick = statistics.median(starts), statistics.median(yardsticks)
    print(f"start to first answer: {start:.2f} s (median of {STARTS}; worst {max(starts):.2f} s)")
    print(f"python -c '{YARDSTICK}': {yardstick:.2f} s")
    print(f"ratio: {start / yardstick:.2f} times the yardstick")
    print(f"stop: {statistics.median(stops):.2f} s; processors: {os.cpu_count()}")
    print(
        "idle memory: " + ", ".join(f"{name.upper()} {mib:.0f} MiB" for name, mib in memory.items())
    )


if __name__ == "__main__":
    main()
