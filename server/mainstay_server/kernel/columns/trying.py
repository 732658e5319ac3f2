"""Try whether the embedded engine opens a folder, in a process of its own, and what is in it.

It is run as a program with the folder, and prints a line of JSON: the rows of each table, and how
many parts the engine put aside because they are broken. The engine may change the folder.
"""

import json
import sys
from pathlib import Path

from .embedded import EmbeddedEngine

MEMORY_BYTES = 1 << 29
ROWS = """
SELECT name, total_rows AS rows FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name
"""
BROKEN = "SELECT count() AS parts FROM system.detached_parts"


def main() -> None:
    """Open, ask, tell, end."""
    engine = EmbeddedEngine(Path(sys.argv[1]), memory_bytes=MEMORY_BYTES)
    rows = {str(each["name"]): int(each["rows"] or 0) for each in engine.rows(ROWS, {})}
    (broken,) = engine.rows(BROKEN, {})
    engine.close()
    sys.stdout.write(json.dumps({"rows": rows, "broken": int(broken["parts"])}) + "\n")


if __name__ == "__main__":
    main()
