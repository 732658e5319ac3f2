"""Decision records: one page, one form, and something that holds the decision."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DECISIONS = ROOT / "docs/decisions"
HEADINGS = ["Context", "Choice", "Consequence", "Held by"]
MAX_LINES = 60


def test_every_decision_is_one_page_of_the_same_form() -> None:
    flaws = [flaw for page in pages() for flaw in flaws_of(page.name, page.read_text())]

    assert flaws == []


def test_no_two_decisions_share_a_number() -> None:
    numbers = [page.name[:4] for page in pages()]

    assert sorted(set(numbers)) == numbers


def test_what_holds_a_decision_exists() -> None:
    missing = [
        f"{page.name}: {path}"
        for page in pages()
        for path in paths_in(page.read_text().partition("## Held by")[2])
        if not (ROOT / path).exists()
    ]

    assert missing == []


def test_a_decision_that_nothing_holds_is_noticed() -> None:
    page = "# 9: Be nice\n\n## Context\n\n## Choice\n\n## Consequence\n\n## Held by\n\nGood will.\n"

    assert flaws_of("9-Nice.md", page) == [
        "9-Nice.md: name it NNNN-title.md",
        "9-Nice.md: name the test or rule that holds it, in backticks",
    ]


def pages() -> list[Path]:
    return sorted(DECISIONS.glob("*.md"))


def flaws_of(name: str, page: str) -> list[str]:
    held_by = page.partition("## Held by")[2]
    rules = {
        "name it NNNN-title.md": re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", name),
        f"its headings must be {HEADINGS}": re.findall(r"^## (.+)$", page, re.MULTILINE)
        == HEADINGS,
        f"more than {MAX_LINES} lines": len(page.splitlines()) <= MAX_LINES,
        "name the test or rule that holds it, in backticks": "`" in held_by,
    }
    return [f"{name}: {flaw}" for flaw, kept in rules.items() if not kept]


def paths_in(text: str) -> list[str]:
    return re.findall(r"`([\w.-]+(?:/[\w.-]+)+)`", text)
