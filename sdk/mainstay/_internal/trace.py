"""Which trace a request belongs to, as its caller says."""

import re

# Version 00 has exactly four fields, later ones may append more; ff is forbidden.
_TRACEPARENT = re.compile(
    r"(?!ff)(?:00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
    r"|(?!00)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?)"
)
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
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match[1] or match[4], match[2] or match[5], match[3] or match[6]
    return None if trace_id == _NO_TRACE or span_id == _NO_SPAN else (trace_id, flags)
