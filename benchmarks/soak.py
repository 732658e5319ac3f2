"""Claim: `kill -9` at any moment loses nothing acknowledged and tells nothing under two keys.

The journeys `test_crash.py` and `test_crash_telling.py` for hours instead of minutes: each with so
many kills. `--kills 20` takes about six minutes, the default of 200 about an hour; every ten kills
are one round on fresh data, with a seed of its own that repeats its moments. It ends with 1 at the
first broken promise and leaves that round's data.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.journeys import crashing, troubled  # noqa: E402 - found by the line above

KILLS_PER_ROUND = 10


def main() -> int:
    """Run the rounds; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    acknowledged = told = 0
    began = time.monotonic()
    left = options.kills
    while left > 0:
        kills = min(left, KILLS_PER_ROUND)
        seed = options.seed + left
        folder = Path(tempfile.mkdtemp(prefix="mainstay-soak-"))
        for part in ("sent", "told"):
            (folder / part).mkdir()
        found = crashing.endure(folder / "sent", kills=kills, seed=seed, senders=options.senders)
        heard = troubled.tell_through_kills(folder / "told", kills=kills, seed=seed)
        faults = [*crashing.faults_of(found), *troubled.faults_of(heard)]
        print(f"seed {seed}: {found}", flush=True)
        for name, one in heard.items():
            print(f"  who {name}: {len(one.due)} due in {len(one.tries)} tries", flush=True)
        if faults:
            print(f"\n{len(faults)} broken promises; the data is in {folder}:")
            print("\n".join(f"  {fault}" for fault in faults))
            return 1
        shutil.rmtree(folder)
        acknowledged += len(found.acknowledged)
        told += len(found.due) + sum(len(one.due) for one in heard.values())
        left -= kills
    minutes = (time.monotonic() - began) / 60
    print(
        f"\n{options.kills} kills in {minutes:.0f} minutes: {acknowledged} events acknowledged,"
        f" 0 lost; {told} notifications due, 0 lost, 0 under two keys"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
