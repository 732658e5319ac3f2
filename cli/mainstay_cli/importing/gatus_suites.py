"""Suites of Gatus: endpoints one after the other, as one check of several steps."""

import re
from collections.abc import Mapping
from typing import Any

from .drafts import Draft, interval, mapping, sequence, tags_of

Entry = Mapping[str, Any]

CONTEXT = re.compile(r"\[CONTEXT\]\.([A-Za-z_][A-Za-z0-9_]*)")
IN_BODY = re.compile(r"\[BODY\]((?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])+)")


def add_suite(draft: Draft, entry: Entry, every: float) -> None:
    """Add a suite: its context as variables, what its endpoints store as what is extracted."""
    name = str(entry.get("name", ""))
    steps = []
    for each in map(mapping, sequence(entry.get("endpoints"))):
        if not str(each.get("url", "")).startswith(("http://", "https://", "[CONTEXT]")):
            draft.note(f"suite {name}", f"its step {each.get('name')} is not HTTP; it was left out")
            continue
        steps.append(_step(draft, name, each))
    if not steps:
        draft.note(f"suite {name}", "has no step that can be asked")
        return
    variables = {str(key): str(value) for key, value in mapping(entry.get("context")).items()}
    draft.add(
        "healthChecks",
        name,
        {
            "kind": "steps",
            "config": {"variables": variables or None, "steps": steps},
            "intervalSeconds": interval(every),
            "tags": tags_of(str(entry.get("group", ""))) or None,
            "paused": True if entry.get("enabled") is False else None,
        },
    )


def _step(draft: Draft, suite: str, entry: Entry) -> dict[str, Any]:
    extract = []
    for variable, source in mapping(entry.get("store")).items():
        found = IN_BODY.fullmatch(str(source))
        if found is None:
            draft.note(f"suite {suite}", f"{variable} is stored from {source}; extract it by hand")
            continue
        extract.append({"variable": str(variable), "expression": f"${found[1]}"})
    method = str(entry.get("method") or "GET").upper()
    headers = {
        str(name).lower(): _filled(str(value))
        for name, value in mapping(entry.get("headers")).items()
    }
    return {
        "name": str(entry.get("name", "")),
        "method": method if method != "GET" else None,
        "url": _filled(str(entry.get("url", ""))),
        "headers": headers or None,
        "body": _filled(str(entry["body"])) if entry.get("body") else None,
        "conditions": [_filled(str(each)) for each in sequence(entry.get("conditions"))] or None,
        "extract": extract or None,
        "alwaysRuns": True if entry.get("always-run") else None,
    }


def _filled(text: str) -> str:
    """What takes a value from the context, as our steps write it."""
    return CONTEXT.sub(lambda found: "{{" + found[1] + "}}", text)
