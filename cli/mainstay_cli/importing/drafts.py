"""A document in the making: its things, its secrets beside it, and what was left behind."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

LISTS = (
    "instances",
    "healthChecks",
    "heartbeats",
    "maintenance",
    "alertChannels",
    "alertRoutes",
    "alertInhibitions",
)
OF_PROJECT = frozenset({"maintenance", "alertRoutes", "alertInhibitions"})
LONGEST_NAME = 100
LONGEST_TAG = 50
MOST_TAGS = 20
MOST_THINGS = 10_000
SHORTEST_INTERVAL, LONGEST_INTERVAL = 5, 86_400
LONGEST_TIMEOUT = 120
WIDEST = 100
VARIABLE = re.compile(r"\$\$?\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}")


class Unreadable(Exception):
    """What was given is not what its importer reads; the message says the next step."""


@dataclass(frozen=True)
class Secret:
    """A text that belongs into no file: the document names a variable in its place.

    One that the other tool reads from a file is `prefix` and what stands in that `file`; the file
    is not opened here.
    """

    value: str
    file: str = ""
    prefix: str = ""


@dataclass
class Draft:
    """What one importer found. `notes` are sentences for people, in the order they came up.

    Without an environment what it holds is of the whole project. `secrets` are values by their
    variables, `kept_in_files` those that a file of the other tool holds.
    """

    environment: str
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    kept_in_files: dict[str, Secret] = field(default_factory=dict)
    _names: set[tuple[str, str]] = field(default_factory=set)

    def add(self, kind: str, name: str, thing: Mapping[str, Any]) -> str:
        """Add a thing to a list of the document; gives the name that it has there, its own alone.

        Texts mean what they say, `${…}` too, but for a `Secret`, which becomes a variable. Values
        that are None are left out.
        """
        wanted = " ".join(name.split())[:LONGEST_NAME] or kind
        free, number = wanted, 1
        while (kind, free) in self._names:
            number += 1
            free = f"{wanted[: LONGEST_NAME - 6]} ({number})"
        self._names.add((kind, free))
        whole = kind in OF_PROJECT or not self.environment
        of_instance = {} if whole else {"instance": self.environment}
        held = {**of_instance, "name": free, **thing}
        listed = self.lists.setdefault(kind, [])
        if len(listed) >= MOST_THINGS:
            raise Unreadable(f"There are more than {MOST_THINGS:,} {kind}; import them in parts.")
        listed.append(self._written(held, (kind, free)))
        return free

    def note(self, about: str, why: str) -> None:
        """Say what could not be carried over, and why; the same once."""
        said = f"{about}: {why}"
        if said not in self.notes:
            self.notes.append(said)

    def text(self, *, project: str, source: str) -> str:
        """The document as YAML."""
        head = [
            f"# Made from {source}. See what it would change: mainstay apply -f FILE --plan",
            *(f"# {name}: a secret, to be set when it is applied" for name in self.variables),
        ]
        begin: dict[str, Any] = {"version": 1}
        if project:
            begin["project"] = project
        parts = ["\n".join(head), _dumped(begin)]
        parts += [_dumped({name: self.lists[name]}) for name in LISTS if self.lists.get(name)]
        return "\n".join(parts)

    @property
    def variables(self) -> list[str]:
        """The variables that the document names."""
        return [*self.secrets, *self.kept_in_files]

    def _written(self, value: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - a value of YAML
        if isinstance(value, Secret):
            return self._variable(value, path)
        if isinstance(value, str):
            return VARIABLE.sub(lambda found: "$" + found[0], value)
        if isinstance(value, Mapping):
            return {
                name: self._written(each, (*path, name))
                for name, each in value.items()
                if each is not None
            }
        if isinstance(value, list):
            return [self._written(each, (*path, str(n))) for n, each in enumerate(value, 1)]
        return value

    def _variable(self, secret: Secret, path: tuple[str, ...]) -> str:
        if VARIABLE.fullmatch(secret.value):
            return secret.value  # the other tool had it from its environment too
        held = {name: Secret(value) for name, value in self.secrets.items()}
        held |= self.kept_in_files
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", "_".join(path[1:]))
        plain = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").upper() or "SECRET"
        plain = f"SECRET_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 1
        while held.get(name, secret) != secret:
            number += 1
            name = f"{plain}_{number}"
        if secret.file:
            self.kept_in_files[name] = secret
        else:
            self.secrets[name] = secret.value
        return f"${{{name}}}"


def _dumped(value: Mapping[str, Any]) -> str:
    return yaml.dump(
        dict(value),
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDEST,
        default_flow_style=False,
    )


def tags_of(*texts: str) -> list[str]:
    """Tags as they may be: each once, short, at most twenty."""
    clean = (" ".join(text.split())[:LONGEST_TAG] for text in texts)
    return list(dict.fromkeys(text for text in clean if text))[:MOST_TAGS]


def interval(seconds: float) -> int:
    """Seconds between two turns, as far as ours may be."""
    return int(min(max(round(seconds), SHORTEST_INTERVAL), LONGEST_INTERVAL))


def timeout(seconds: float) -> int:
    """A time-out in whole seconds, as far as ours may be."""
    return int(min(max(round(seconds), 1), LONGEST_TIMEOUT))


def env_file(secrets: Mapping[str, str], files: Mapping[str, Secret] | None = None) -> str:
    """The secrets as a file for a shell, which reads those that stand in files of their own."""
    lines = [f"export {name}={_quoted(value)}\n" for name, value in secrets.items()]
    lines += [
        f'export {name}={_quoted(kept.prefix)}"$(cat {_quoted(kept.file)})"\n'
        for name, kept in (files or {}).items()
    ]
    return "".join(lines)


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "'\\''"))


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is, and an empty one for all else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """A list as it is, and an empty one for all else."""
    return value if isinstance(value, list | tuple) else ()


def read_yaml(text: str, what: str) -> Mapping[str, Any]:
    """The mapping that a file of another tool holds. Raises `Unreadable`."""
    try:
        found = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise Unreadable(f"{what} is no YAML: {error}") from error
    if not isinstance(found, Mapping):
        raise Unreadable(f"{what} holds no settings; give the file that the tool itself reads.")
    return found
