"""What the demo keeps for its next start: secrets, in files that only their owner reads."""

import json
import os
import stat
from pathlib import Path
from typing import Any


def keep(path: Path, value: dict[str, Any]) -> None:
    """Write a file that only we may read; it is the old or the new one, never a half."""
    unfinished = path.with_suffix(".unfinished")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = os.open(unfinished, flags, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
    unfinished.replace(path)
