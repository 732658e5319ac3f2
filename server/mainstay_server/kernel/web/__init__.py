"""What every HTTP door shares: transactions, refusals, sessions, headers, bodies and pages."""

from .bodies import Answer, Body, example, parse_hours
from .csrf import csrf_token, refuse_foreign, refuse_forged
from .headers import SecurityHeaders
from .pagination import Cursor, Limit
from .problems import as_problem, problem_headers, problem_response, send_problem
from .routing import Router, own_routes
from .signing import sign, unsign
from .streaming import STREAMED, begin_streaming

__all__ = [
    "STREAMED",
    "Answer",
    "Body",
    "Cursor",
    "Limit",
    "Router",
    "SecurityHeaders",
    "as_problem",
    "begin_streaming",
    "csrf_token",
    "example",
    "own_routes",
    "parse_hours",
    "problem_headers",
    "problem_response",
    "refuse_foreign",
    "refuse_forged",
    "send_problem",
    "sign",
    "unsign",
]
