"""Templates that tenants write: a small part of Jinja, in which nothing is reached or runs long.

What is not on the lists below is refused when the template is read: no assignment, no macro, no
import, no call but of the parts that the caller gives. Names lead to the given data and nowhere
else, never to Python's attributes. Every loop counts against one budget and every text against
another, so that neither `{{ ''.__class__ }}` nor a loop of a billion gets anywhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import Template
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from typing_extensions import override

from mainstay_server.kernel.problems import Invalid

from .rounding import MOST_NUMBER, rounded

LONGEST_SOURCE = 32_000
LONGEST_TEXT = 64_000
LONGEST_RESULT = 256_000
MOST_TURNS = 10_000
MOST_STEPS = 500_000  # turns times what stands in the loop: less than a second of work
MOST_HANDLED = 4_000_000
DEEPEST = 40
MOST_NESTED_LOOPS = 4

FILTERS = frozenset(
    {"abs", "capitalize", "default", "e", "escape", "first", "float", "int", "join", "last"}
    | {"length", "lower", "nl2br", "number", "round", "sort", "title", "trim", "truncate", "upper"}
)
OF_TEXTS = FILTERS - {"default", "first", "join", "last", "length", "sort"}
TESTS = frozenset({"defined", "undefined", "none", "number", "string", "true", "false", "mapping"})
OPERATORS = frozenset({"+", "-", "*", "/", "//", "%"})
OF_LOOPS = frozenset({"index", "index0", "first", "last", "length", "revindex"})
NODES: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.CondExpr,
    nodes.For,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Concat,
    nodes.Call,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
)
Parts = Mapping[str, Callable[..., Markup]]


@dataclass
class _Budget:
    """What one rendering has left."""

    turns: int = MOST_TURNS
    steps: int = MOST_STEPS
    letters: int = LONGEST_RESULT
    handled: int = MOST_HANDLED


class _TooMuch(TemplateError):
    """A template that asks for more than it may have."""


_budget: ContextVar[_Budget] = ContextVar("budget")


def render_untrusted(
    source: str, data: Mapping[str, Any], *, parts: Parts, field: str, escaped: bool = True
) -> str:
    """What a tenant's template makes of JSON data; `parts` are the functions that it may call.

    Raises:
        Invalid: with what is wrong with the template, or which name the data lacks, for `field`.
    """
    token = _budget.set(_Budget())
    try:
        template = _compiled(source, tuple(sorted(parts)), escaped)
        return _joined(template.generate({**data, **parts}))
    except TemplateSyntaxError as error:
        raise _refusal(field, f"line {error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise _refusal(field, str(error.message)) from None
    except RecursionError:
        raise _refusal(field, "it is nested too deeply") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, SyntaxError) as error:
        raise _refusal(field, str(error)[:200]) from None
    finally:
        _budget.reset(token)


def _refusal(field: str, what: str) -> Invalid:
    message = f"The template cannot be used: {what}. Mend it and look at its preview."
    return Invalid(message, code="invalid-template", errors=[{"field": field, "message": what}])


def _joined(chunks: Iterable[str]) -> str:
    """All that a template says, as long as it is not more than a mail may hold."""
    found: list[str] = []
    for chunk in chunks:
        _spend_letters(len(chunk))
        found.append(chunk)
    return "".join(found)


def _spend_letters(count: int) -> None:
    budget = _budget.get()
    budget.letters -= count
    if budget.letters < 0:
        raise _TooMuch(f"it makes more than {LONGEST_RESULT:,} letters")


def _handle(text: str) -> None:
    """Take the work that a text makes from the budget, also where it is not written out."""
    budget = _budget.get()
    budget.handled -= len(text)
    if budget.handled < 0:
        raise _TooMuch("it handles too many long texts")


def _counted(values: Any, steps: int = 1) -> Iterator[Any]:  # noqa: ANN401 - whatever the data holds
    """The turns of a loop, each of which is taken from the budget of all loops."""
    if isinstance(values, Undefined):
        str(values)  # says which name is missing
    if not isinstance(values, Mapping | list | tuple):
        raise _TooMuch("it goes through something that is neither a list nor a mapping")
    for value in values.items() if isinstance(values, Mapping) else values:
        budget = _budget.get()
        budget.turns -= 1
        budget.steps -= steps
        if budget.turns < 0 or budget.steps < 0:
            raise _TooMuch(f"its loops take more than {MOST_TURNS:,} turns, or long ones too many")
        yield value


def _single(value: Any) -> Any:  # noqa: ANN401 - whatever the data holds
    """A single value: comparing nested lists could take for ever."""
    if isinstance(value, Mapping | list | tuple) or callable(value):
        raise _TooMuch("lists, mappings and parts are no single values to compare or to write")
    if isinstance(value, str):
        _handle(value)
    return value


def _among(value: Any) -> Any:  # noqa: ANN401 - whatever the data holds
    """What something may be looked for in: a text, a mapping, or a list of single values."""
    if isinstance(value, list | tuple):
        return [_single(each) for each in _counted(value)]
    if isinstance(value, str):
        _handle(value)
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the data holds
    if isinstance(value, Mapping | list | tuple):
        raise _TooMuch("a list or a mapping cannot be written out; go through it with a loop")
    if callable(value):
        raise _TooMuch("a part such as badge(…) is called with round brackets")
    return value if isinstance(value, str) else str(value)


def _concat(values: list[Any]) -> str:
    """`a ~ b`, as long as it is not too long; what is no HTML yet is escaped beside what is."""
    texts = [_text(value) for value in values]
    for text in texts:
        _handle(text)
    if sum(map(len, texts)) > LONGEST_TEXT:
        raise _TooMuch(f"it makes a text of more than {LONGEST_TEXT:,} letters")
    if any(isinstance(text, Markup) for text in texts):
        return Markup("").join(texts)
    return "".join(texts)


def _join(values: Any, between: str = "") -> str:  # noqa: ANN401 - whatever the data holds
    found = list(_counted(values))
    pieces: list[Any] = []
    for at, value in enumerate(found):
        pieces += [between, value] if at else [value]
    return _concat(pieces)


def _number(value: Any, digits: int = 0) -> str:  # noqa: ANN401 - whatever the data holds
    """`1,234.5`: a number as people read it."""
    return f"{float(value):,.{min(max(int(digits), 0), 9)}f}"


def _truncate(value: Any, length: int = 255) -> str:  # noqa: ANN401 - whatever the data holds
    text, most = _text(value), min(max(int(length), 1), LONGEST_TEXT)
    return text if len(text) <= most else text[: most - 1] + "…"


def _nl2br(value: Any) -> Markup:  # noqa: ANN401 - whatever the data holds
    return Markup("<br>\n").join(_text(value).splitlines())


def _sort(value: Any, *, reverse: bool = False, attribute: str = "") -> list[Any]:  # noqa: ANN401 - whatever the data holds
    found = [_single(each) if not attribute else each for each in _counted(value)]
    key = (lambda each: _single(each[attribute])) if attribute else None
    return sorted(found, key=key, reverse=reverse)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja in which names lead to data only, and only the given parts are called."""

    intercepted_binops = OPERATORS
    intercepted_unops = frozenset("-")

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in OF_LOOPS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    @override
    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return getattr(obj, str(argument))  # says which name is missing
        known = isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj
        placed = isinstance(obj, list | tuple) and isinstance(argument, int)
        if known or (placed and -len(obj) <= argument < len(obj)):
            return obj[argument]
        return self.undefined(f"there is no {str(argument)[:60]!r} in the data")

    @override
    def is_safe_callable(self, obj: Any) -> bool:
        return callable(obj) and getattr(obj, "of_mails", False)

    @override
    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        made = super().call(context, obj, *args, **kwargs)
        _handle(made)  # also where it is only measured and never written out
        return made

    @override
    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if isinstance(value, Undefined):
                str(value)  # says which name is missing
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _TooMuch(f"{operator} is for numbers; texts are joined with ~")
            if abs(value) > MOST_NUMBER:
                raise _TooMuch("a number is too large")
        return super().call_binop(context, operator, left, right)


def _environment(*, escaped: bool) -> _Environment:
    made = _Environment(autoescape=escaped, undefined=StrictUndefined, optimized=False)
    made.finalize = _finalized
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS if name in made.filters}
    made.filters |= {
        "counted": _counted,
        "concat": _concat,
        "single": _single,
        "among": _among,
        "join": _join,
        "number": _number,
        "truncate": _truncate,
        "nl2br": _nl2br,
        "round": rounded,
        "sort": _sort,
    }
    return made


def _finalized(value: Any) -> Any:  # noqa: ANN401 - whatever the data holds
    return value if isinstance(value, Undefined) else _text(value)


_ENVIRONMENTS = {escaped: _environment(escaped=escaped) for escaped in (True, False)}


@lru_cache(maxsize=256)
def _compiled(source: str, parts: tuple[str, ...], escaped: bool) -> Template:  # noqa: FBT001 - a key of the cache
    environment = _ENVIRONMENTS[escaped]
    if len(source) > LONGEST_SOURCE:
        raise _TooMuch(f"it is longer than {LONGEST_SOURCE:,} letters")
    tree = environment.parse(source)
    _refuse_what_is_not_listed(tree, frozenset(parts))
    _guard(tree)
    code = environment.compile(tree)
    return Template.from_code(environment, code, {})


def _refuse_what_is_not_listed(tree: nodes.Template, parts: frozenset[str]) -> None:
    """Walk the tree without recursion, since its depth is the tenant's."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while waiting:
        node, depth, loops = waiting.pop()
        loops += isinstance(node, nodes.For)
        if depth > DEEPEST or loops > MOST_NESTED_LOOPS:
            raise TemplateSyntaxError("it is nested too deeply", node.lineno)
        fault = _fault_of(node, parts)
        if fault:
            raise TemplateSyntaxError(fault, node.lineno)
        waiting.extend((child, depth + 1, loops) for child in node.iter_child_nodes())


def _fault_of(node: nodes.Node, parts: frozenset[str]) -> str:
    if not isinstance(node, NODES):
        return f"{type(node).__name__.lower()} is not allowed in mails"
    if isinstance(node, nodes.Filter | nodes.Test):
        known = FILTERS if isinstance(node, nodes.Filter) else TESTS
        return "" if node.name in known else f"there is no {node.name!r} in mails"
    if isinstance(node, nodes.For) and (node.recursive or node.test is not None):
        return "loops are plain: {% for each in list %}"
    if isinstance(node, nodes.Name) and (node.name == "self" or _hides_a_part(node, parts)):
        return f"{node.name} has a meaning of its own"
    return _fault_of_call(node, parts) if isinstance(node, nodes.Call) else ""


def _fault_of_call(call: nodes.Call, parts: frozenset[str]) -> str:
    if not isinstance(call.node, nodes.Name) or call.node.name not in parts:
        return f"only {', '.join(sorted(parts)) or 'nothing'} can be called"
    if call.dyn_args is not None or call.dyn_kwargs is not None:
        return "a part is called with plain values"
    return ""


def _hides_a_part(node: nodes.Name, parts: frozenset[str]) -> bool:
    return node.ctx != "load" and node.name in parts


def _guard(tree: nodes.Template) -> None:
    """Have every loop, comparison and joined text go through what counts it."""
    for loop in list(tree.find_all(nodes.For)):
        steps = nodes.Const(sum(1 for _ in loop.find_all(nodes.Node)), lineno=loop.lineno)
        loop.iter = _through("counted", loop.iter, steps)
    for each in list(tree.find_all(nodes.Filter)):
        if each.name in OF_TEXTS and each.node is not None:
            each.node = _through("single", each.node)
    for compare in list(tree.find_all(nodes.Compare)):
        compare.expr = _through("single", compare.expr)
        for operand in compare.ops:
            name = "among" if operand.op in ("in", "notin") else "single"
            operand.expr = _through(name, operand.expr)
    _replace_concats(tree)


def _through(name: str, value: nodes.Node, *more: nodes.Expr) -> nodes.Filter:
    assert isinstance(value, nodes.Expr), "only values are guarded"
    return nodes.Filter(value, name, list(more), [], None, None, lineno=value.lineno)


def _replace_concats(node: nodes.Node) -> None:
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_without_concat(each) for each in value])
        else:
            setattr(node, field, _without_concat(value))
    for child in node.iter_child_nodes():
        _replace_concats(child)


def _without_concat(value: Any) -> Any:  # noqa: ANN401 - whatever a node holds
    if isinstance(value, nodes.Concat):
        return _through("concat", nodes.List(value.nodes, lineno=value.lineno))
    return value


def part_of_mails(function: Callable[..., Markup]) -> Callable[..., Markup]:
    """Mark a function as one that templates of tenants may call."""
    function.of_mails = True  # type: ignore[attr-defined] # what `is_safe_callable` looks for
    return function
