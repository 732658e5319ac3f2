"""Which trace a request belongs to, as its caller says."""

import re

# Version 00 has exactly four fields, later ones may append more; ff is forbidden.
_FIELDS = "([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
_VERSION_00 = re.compile(f"00-{_FIELDS}")
_LATER_VERSION = re.compile(f"(?!ff|00)[0-9a-f]{{2}}-{_FIELDS}(?:-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace id of a ``traceparent`` header, or None when it is not valid."""
    read = read_traceparent(traceparent)
    return None if read is None else read[0]


def read_traceparent(traceparent: str) -> tuple[str, str] | None:
    """Return the trace id and the flags of a ``traceparent`` header, or None when it is not valid.

    The rules are those of W3C Trace Context §3.2: lower-case hex, and neither id all zero.
    """
    match = _VERSION_00.fullmatch(traceparent) or _LATER_VERSION.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    return None if trace_id == _NO_TRACE or span_id == _NO_SPAN else (trace_id, flags)
