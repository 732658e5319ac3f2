"""Results, as test runners and pipelines write them."""

from typing import Any

import httpx2 as httpx
from tests.world import Browser, World


def junit(**outcomes: str) -> bytes:
    """A report of `name=passed`, `name=failed why`, `name=skipped` or `name=passed 1.5` (s)."""
    cases = ""
    for name, told in outcomes.items():
        outcome, _, rest = told.partition(" ")
        inner = {
            "passed": "",
            "failed": f'<failure message="{rest}">trace</failure>',
            "skipped": "<skipped/>",
        }[outcome]
        seconds = rest if outcome == "passed" else ""
        cases += f'<testcase classname="t" name="{name}" time="{seconds}">{inner}</testcase>'
    return f"<testsuites><testsuite>{cases}</testsuite></testsuites>".encode()


def upload(
    world: World, body: bytes, query: str = "", who: Browser | None = None
) -> httpx.Response:
    path = f"/api/projects/{world.project}/results{query}"
    return (who or world.bob).post(path, content=body)


def uploaded(world: World, body: bytes, query: str = "") -> dict[str, Any]:
    answer = upload(world, body, query)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def compared(world: World, result: dict[str, Any], query: str = "") -> dict[str, Any]:
    path = f"/api/projects/{world.project}/results/{result['id']}/comparison{query}"
    answer = world.bob.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
