"""Conditions: what must hold of an answer, in a language that people read.

`[STATUS] == 200`, `[RESPONSE_TIME] < 500`, `len([BODY].items) > 0`, `[BODY] contains "ok"`. One
that does not hold is shown resolved: `[STATUS] (500) == 200`.
"""

from mainstay_server.kernel.conditions.evaluating import Judgement, judge
from mainstay_server.kernel.conditions.parsing import ConditionError, names_in, parse
from mainstay_server.kernel.conditions.terms import Condition, Duration

__all__ = ["Condition", "ConditionError", "Duration", "Judgement", "judge", "names_in", "parse"]
