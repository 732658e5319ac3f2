"""Alertmanager: its configuration file, as channels, routes, inhibitions and quiet times."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .alertmanager_matchers import Matchers, read_matchers, written
from .alertmanager_receivers import add_receivers
from .alertmanager_routes import Node, Row, add_routes, nodes_of, read_tree, rows_of
from .alertmanager_times import read_intervals
from .drafts import Draft, Unreadable
from .lined import Settings, read_lined

FIELDS = frozenset(
    {
        *("global", "templates", "route", "inhibit_rules", "receivers", "time_intervals"),
        *("mute_time_intervals", "tracing"),
    }
)
INHIBIT_FIELDS = frozenset(
    {
        *("source_match", "source_match_re", "source_matchers", "target_match"),
        *("target_match_re", "target_matchers", "equal", "name"),
    }
)
# What of `global` receivers read, or what has its own place here.
READ = ("slack_", "pagerduty_", "opsgenie_", "telegram_", "smtp_")
UNTRANSLATED = {
    "templates": "messages are worded by Mainstay; files of templates stay there",
    "tracing": "Mainstay has its own",
}
MOST_INHIBITIONS = 100
MOST_EQUAL = 20
LONGEST_WORDS = 40
HIDDEN = "<secret>"


def read_alertmanager(text: str, *, folder: Path) -> Draft:
    """What a file of Alertmanager says, as a document of a whole project. Raises `Unreadable`.

    `folder` is where the file lies: names of files with secrets are seen from there. None of them
    is opened, and no value of a secret is in any message.
    """
    told = read_lined(text, "The file")
    told.only(FIELDS, "Alertmanager's file")
    if HIDDEN in text:
        raise Unreadable(
            "The secrets of this file are hidden, as Alertmanager's page shows it; give the file"
            " that it reads."
        )
    draft = Draft("")
    known = read_intervals(told)
    root = read_tree(told, known)
    receivers = _receivers(told)
    for node in nodes_of(root):
        if node.receiver not in {one.text("name") for one in receivers}:
            raise Unreadable(f"Line {node.line}: there is no receiver {node.receiver!r}.")
    rows = rows_of(root)
    reached = list(dict.fromkeys(row.node.receiver for row in rows if not row.ends))
    channels = add_receivers(draft, receivers, told.section("global"), reached, folder)
    add_routes(draft, rows, channels, known)
    empty = frozenset(one.text("name") for one in receivers if one.keys() <= {"name"})
    _tell_routes(draft, nodes_of(root), rows, (channels, empty))
    for rule in told.sections("inhibit_rules"):
        _add_inhibition(draft, rule)
    _tell_rest(draft, told)
    return draft


def _receivers(told: Settings) -> Sequence[Settings]:
    found = told.sections("receivers")
    names = [one.text("name") for one in found]
    for one, name in zip(found, names, strict=True):
        if not name or names.count(name) > 1:
            one.refuse("name", "a receiver needs a name of its own")
    return found


def _tell_routes(
    draft: Draft,
    nodes: Sequence[Node],
    rows: Sequence[Row],
    heard: tuple[Mapping[str, Sequence[str]], frozenset[str]],
) -> None:
    """Say which routes nobody hears, and which no alert takes.

    `heard` are the channels of each receiver, and the receivers that are empty on purpose.
    """
    channels, empty = heard
    for node in nodes:
        about = f"line {node.line}, route to {node.receiver}"
        if not any(row.node is node and not row.ends for row in rows):
            draft.note(about, "no alert takes it, others before it or below it do; it is left out")
        elif not channels[node.receiver]:
            why = "NOBODY is told by it: nothing of its receiver could be taken over"
            draft.note(about, "told to nobody, as there" if node.receiver in empty else why)


def _add_inhibition(draft: Draft, rule: Settings) -> None:
    rule.only(INHIBIT_FIELDS, "a rule of inhibition")
    about = f"line {rule.line}, inhibit rule"
    sides = [
        read_matchers(rule, old=f"{side}_match", new=f"{side}_matchers")
        for side in ("source", "target")
    ]
    if not all(sides):
        draft.note(
            about, "one side takes all alerts, which none may here; name a label, such as severity"
        )
        return
    if len(draft.lists.get("alertInhibitions", ())) >= MOST_INHIBITIONS:
        draft.note(about, f"is left out: a project has at most {MOST_INHIBITIONS}")
        return
    equal = list(dict.fromkeys(rule.texts("equal")))
    if len(equal) > MOST_EQUAL:
        draft.note(about, f"is left out: it compares more than {MOST_EQUAL} labels")
        return
    source, target = map(written, sides)
    name = rule.text("name") or f"{_words(sides[0])} mutes {_words(sides[1])}"
    draft.add("alertInhibitions", name, {"source": source, "target": target, "equal": equal})


def _words(matchers: Matchers) -> str:
    return written(matchers).replace('"', "")[:LONGEST_WORDS]


def _tell_rest(draft: Draft, told: Settings) -> None:
    usual = told.section("global")
    if usual.get("resolve_timeout"):
        draft.note(
            f"line {usual.line_of('resolve_timeout')}, global",
            "resolve_timeout: an alert is over when its sender says so, or five minutes after it"
            " was sent last without an end",
        )
    rest = [key for key in usual if not key.startswith(READ) and key != "resolve_timeout"]
    if rest:
        draft.note(f"line {usual.line}, global", f"not taken over: {', '.join(rest)}")
    for key, why in UNTRANSLATED.items():
        if told.get(key):
            draft.note(f"line {told.line_of(key)}, {key}", why)
    draft.note("silences", "stay there; amtool silence export and import carry them over")
