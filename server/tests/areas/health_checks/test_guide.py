"""The guide to watching an app: each of its documents makes a check, its app says how it is."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from mainstay_server.areas.health_checks import area
from tests.world import World

GUIDE = Path(__file__).parents[4] / "docs/guides/watch-an-app.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_document_of_the_guide_makes_a_check(client_for: Callable[..., World]) -> None:
    world = client_for(area)
    documents = [json.loads(block) for block in blocks("json")]

    made = [
        world.bob.post(f"/api/instances/{world.instance.id}/health-checks", json=document)
        for document in documents
    ]

    assert [(one.status_code, one.json().get("detail")) for one in made] == [(201, None)] * 4
    kinds = [one.json()["kind"] for one in made]
    assert kinds == ["http", "http", "steps", "browser"]
    assert "s3cr3t" not in "".join(one.text for one in made)


def test_the_app_of_the_guide_says_how_its_parts_are() -> None:
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - what a reader would run

    document = TestClient(names["app"]).get("/api/health").json()

    assert document["status"] == "healthy"
    assert set(document["checks"]) == {"database", "queue"}
