"""Documents read: YAML 1.2's own scalars, a line for every value, and nothing that grows in secret.

Read are events of libyaml, one after the other, so that neither depth nor aliases cost more than
what is counted here. `no` and `12:30` are texts, as in YAML 1.2's core schema; tags are refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from mainstay_server.kernel.configured import Path
from mainstay_server.kernel.problems import Invalid, TooLarge

MOST_BYTES = 5 << 20
MOST_VALUES = 500_000
DEEPEST = 24
LONGEST_LINE_TOLD = 120
MERGE = "<<"
VARIABLE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
FLOAT = re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}([eE][-+][0-9]{1,3})?")
PLAIN = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True)
class Document:
    """What a text says. `lines` counts from 1; `variables` are texts that came with `${…}`."""

    tree: dict[str, Any]
    lines: Mapping[Path, int]
    variables: Mapping[Path, str]

    def line_of(self, path: Path) -> int:
        """The line of a value, or of what it would stand in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass
class _Node:
    """A value and where it stands. A mapping's items keep their order; scalars are texts here."""

    value: Any
    line: int
    plain: bool = False


@dataclass
class _Open:
    """A list or mapping that is being read; `key` is the key whose value comes next."""

    node: _Node
    anchor: str | None
    key: _Node | None = None


@dataclass
class _Reading:
    variables: Mapping[str, str]
    lines: dict[Path, int] = field(default_factory=dict)
    used: dict[Path, str] = field(default_factory=dict)
    unset: dict[str, int] = field(default_factory=dict)
    values: int = 0


def read_document(text: str, variables: Mapping[str, str]) -> Document:
    """Read one document, with the values of its variables put into its texts.

    `${NAME}` stands for a variable, `${NAME:-text}` for its value or else that text, and `$${`
    for itself. A variable lands in a text as it is: it cannot add a line or a key.

    Raises:
        TooLarge: more than 5 MiB, or more values than a document may hold.
        Invalid: not YAML, or more than plain values; with the line. Variables without a value.
    """
    if _size(text) > MOST_BYTES:
        raise TooLarge(f"A document has at most {MOST_BYTES >> 20} MiB; split it.")
    root = _read_nodes(text)
    if root is None:
        return Document({}, {}, {})
    reading = _Reading(variables)
    tree = _value(root, (), reading)
    if reading.unset:
        raise Invalid(
            f"These variables have no value: {', '.join(reading.unset)}; set them, or write"
            " ${NAME:-a default}.",
            errors=[
                {"field": name, "line": line, "message": f"line {line}: {name} has no value"}
                for name, line in reading.unset.items()
            ],
            code="variables-unset",
        )
    if not isinstance(tree, dict):
        _refuse(root.line, "a document is a mapping that begins with version: 1")
    return Document(tree, reading.lines, reading.used)


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        _refuse(text.count("\n", 0, error.start) + 1, "half of a character is not allowed")


def _read_nodes(text: str) -> _Node | None:
    """The tree of nodes of the one document in a text; aliases are the node they mean."""
    stack: list[_Open] = []
    anchors: dict[str, _Node] = {}
    root: _Node | None = None
    for count, event in enumerate(_events(text)):
        if count > MOST_VALUES:
            raise TooLarge(f"A document has at most {MOST_VALUES:,} values; split it.")
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            ended = stack.pop()
            if ended.anchor:
                anchors[ended.anchor] = ended.node
            continue
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            _refuse(_line(event), "one file is one document; remove the second --- and after")
        if isinstance(event, yaml.NodeEvent):
            node = _node_of(event, anchors)
            root = node if root is None else root
            _place(stack, node, event)
    return root


def _node_of(event: Any, anchors: dict[str, _Node]) -> _Node:  # noqa: ANN401 - one of libyaml's events
    """The node that an event begins or names."""
    line = _line(event)
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            _refuse(line, f"*{event.anchor} names nothing that was anchored and ended before")
        return anchors[event.anchor]
    if event.tag not in (None, "!"):
        _refuse(line, f"the tag {event.tag} is not taken; write a plain value")
    if not isinstance(event, yaml.ScalarEvent):
        return _Node({} if isinstance(event, yaml.MappingStartEvent) else [], line)
    node = _Node(event.value, line, plain=not event.style)
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _place(stack: list[_Open], node: _Node, event: Any) -> None:  # noqa: ANN401 - one of libyaml's events
    """Put a node where it stands, and read on inside of it when it is a list or mapping."""
    if stack:
        _add(stack[-1], node)
    if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
        if len(stack) >= DEEPEST:
            _refuse(node.line, f"values lie at most {DEEPEST} deep here")
        stack.append(_Open(node, event.anchor))


def _add(parent: _Open, node: _Node) -> None:
    if isinstance(parent.node.value, list):
        parent.node.value.append(node)
        return
    if parent.key is None:
        if not isinstance(node.value, str):
            _refuse(node.line, "a key is a plain word; quote it")
        if node.value in parent.node.value:
            first = parent.node.value[node.value][0].line
            _refuse(node.line, f"{node.value!r} is there twice, first in line {first}")
        parent.key = node
        return
    parent.node.value[parent.key.value] = (parent.key, node)
    parent.key = None


def _value(node: _Node, path: Path, reading: _Reading, depth: int = 0) -> Any:  # noqa: ANN401 - a value of YAML
    """The value of a node, its line and its variables noted; counted, since aliases repeat."""
    reading.values += 1
    if reading.values > MOST_VALUES or depth > 2 * DEEPEST:
        raise TooLarge(f"Aliases make more than {MOST_VALUES:,} values of it; repeat less.")
    reading.lines.setdefault(path, node.line)
    if isinstance(node.value, list):
        return [
            _value(each, (*path, index), reading, depth + 1)
            for index, each in enumerate(node.value)
        ]
    if isinstance(node.value, dict):
        found = {}
        for name, (key, each) in _merged(node).items():
            reading.lines[(*path, name)] = key.line
            found[name] = _value(each, (*path, name), reading, depth + 1)
        return found
    return _scalar(node, path, reading)


def _merged(node: _Node) -> Mapping[str, tuple[_Node, _Node]]:
    """A mapping's items, with those that `<<` brings and it does not say itself."""
    own: dict[str, tuple[_Node, _Node]] = node.value
    if MERGE not in own:
        return own
    key, brought = own[MERGE]
    sources = brought.value if isinstance(brought.value, list) else [brought]
    found: dict[str, tuple[_Node, _Node]] = {}
    for source in reversed(sources):
        if not isinstance(source.value, dict) or MERGE in source.value:
            _refuse(key.line, "<< takes a mapping, or a list of them, that has no << itself")
        found.update(source.value)
    return {**found, **{name: item for name, item in own.items() if name != MERGE}}


def _scalar(node: _Node, path: Path, reading: _Reading) -> Any:  # noqa: ANN401 - a value of YAML
    text: str = node.value
    if "${" in text:
        return _filled(text, node.line, path, reading)
    if not node.plain:
        return text
    if text in PLAIN:
        return PLAIN[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text


def _filled(text: str, line: int, path: Path, reading: _Reading) -> str:
    """A text with its variables filled in; where it has any, what was written is noted."""

    def value_of(found: "re.Match[str]") -> str:
        escaped, name, default = found.groups()
        if escaped:
            return found[0][1:]
        reading.used[path] = text
        if reading.variables.get(name):
            return reading.variables[name]
        if default is None:
            reading.unset.setdefault(name, line)
        return default or ""

    return VARIABLE.sub(value_of, text)


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(mark.line + 1 if mark else 1, f"{error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        # Its position counts characters of the text.
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        _refuse(line, f"the character U+{code:04X} is not allowed")


def _line(event: Any) -> int:  # noqa: ANN401 - one of libyaml's events
    return int(event.start_mark.line) + 1


def _refuse(line: int, why: str) -> NoReturn:
    message = f"line {line}: {why[:LONGEST_LINE_TOLD]}"
    raise Invalid(
        f"The document cannot be read; {message}.",
        errors=[{"field": "document", "line": line, "message": message}],
        code="unreadable-document",
    )
