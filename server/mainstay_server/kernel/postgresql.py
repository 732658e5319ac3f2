"""What only PostgreSQL needs of its driver; loaded when it is the chosen store."""

from typing import Any

from psycopg.types.string import StrDumperUnknown
from typing_extensions import override


class DumperWithoutNul(StrDumperUnknown):
    """Writes text as PostgreSQL can keep it: U+0000, which it cannot, becomes U+FFFD.

    What apps send and what watched servers answer may hold one, and their rows are written by the
    batch: refusing one would lose, or hold up for good, those of everybody else.
    """

    @override
    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)
