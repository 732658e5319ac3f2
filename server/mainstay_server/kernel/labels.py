"""Label sets: what an alert is known by, to people, to routes and to Alertmanager."""

from collections.abc import Mapping

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF
_SEPARATOR = b"\xff"


def fingerprint(labels: Mapping[str, str]) -> str:
    """The 16 hex digits that Alertmanager gives a label set: FNV-1a of 64 bits.

    Over the names in order of their bytes, each as `name 0xFF value 0xFF`.
    """
    pairs = sorted((name.encode(), value.encode()) for name, value in labels.items())
    digest = _OFFSET
    for byte in b"".join(part + _SEPARATOR for pair in pairs for part in pair):
        digest = (digest ^ byte) * _PRIME & _MASK
    return f"{digest:016x}"
