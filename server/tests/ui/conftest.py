"""A small server that shows every component, under the policy of the real one."""

import math
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, FileSystemLoader
from mainstay_server.ui import assets_app, render
from mainstay_server.ui.rendering import environment
from playwright.sync_api import Browser, sync_playwright
from starlette.middleware.base import RequestResponseEndpoint
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS
from tests.waiting import PATIENCE_SECONDS, eventually

NOW = datetime(2025, 11, 21, 14, 5, 9, tzinfo=UTC)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
CALLER = SimpleNamespace(
    person_name="Alice Ferrand",
    person_email="alice@harbour.example",
    organization_name="Harbour Works",
    role="owner",
)


def a_wave(base: float, swing: float, count: int = 96, phase: float = 0.0) -> list[float]:
    """Traffic of a day: a slow wave, a fast ripple and one bump."""
    return [
        round(
            base
            + swing * math.sin(i / count * math.tau - 1.6 + phase)
            + swing * 0.18 * math.sin(i * 1.7 + phase * 3)
            + (swing * 1.4 if 70 <= i <= 73 else 0),
            2,
        )
        for i in range(count)
    ]


def a_chart(*series: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chart's data over the last day, one value per quarter of an hour."""
    count = len(series[0]["values"])
    times = [int((NOW - timedelta(minutes=15 * (count - i))).timestamp()) for i in range(count)]
    return {"times": times, "series": list(series), **more}


def the_menu(current: str) -> list[dict[str, Any]]:
    groups: dict[str, list[tuple[str, str, str, int, str]]] = {
        "": [("Overview", "home", "g o", 0, ""), ("Scorecard", "scorecard", "g s", 0, "")],
        "Observe": [
            ("Health checks", "health_checks", "g h", 1, "critical"),
            ("Heartbeats", "heartbeats", "", 0, ""),
            ("Requests", "requests", "g r", 0, ""),
            ("Errors", "errors", "g e", 12, "neutral"),
            ("Logs", "logs", "g l", 0, ""),
            ("Traces", "traces", "", 0, ""),
            ("Metrics", "metrics", "g m", 0, ""),
            ("Analytics", "analytics", "", 0, ""),
        ],
        "Respond": [
            ("Alerts", "alerts", "g a", 2, "warn"),
            ("Incidents", "incidents", "g i", 0, ""),
            ("Status pages", "status_pages", "", 0, ""),
            ("Objectives", "objectives", "", 0, ""),
        ],
        "Guard": [
            ("API keys", "api_keys", "g k", 0, ""),
            ("Rate limits", "rate_limits", "", 0, ""),
            ("Allowlist", "ip_allowlist", "", 0, ""),
            ("Audit log", "audit", "", 0, ""),
        ],
        "Keep": [("Backups", "backups", "g b", 0, ""), ("Storage", "storage", "", 0, "")],
        "Ship": [("Deployments", "deploy", "g d", 0, "")],
    }
    return [
        {
            "title": title,
            "items": [
                {
                    "label": label,
                    "url": f"/pages/{'overview' if label == 'Overview' else 'components-page'}",
                    "icon": icon,
                    "current": label == current,
                    "count": count,
                    "tone": tone,
                    "shortcut": shortcut,
                }
                for label, icon, shortcut, count, tone in items
            ],
        }
        for title, items in groups.items()
    ]


def the_context(current: str) -> dict[str, Any]:
    return {
        "now": NOW,
        "menu": the_menu(current),
        "a_wave": a_wave,
        "a_chart": a_chart,
        "minutes": lambda count: NOW - timedelta(minutes=count),
        "deployed_at": int((NOW - timedelta(hours=7)).timestamp()),
    }


def gallery() -> FastAPI:
    """The app: every template of this folder under `/pages/`."""
    loader = environment().loader
    assert isinstance(loader, ChoiceLoader)
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    loader.loaders = [*loader.loaders, folder]
    app = FastAPI()
    app.mount("/assets", assets_app())

    @app.middleware("http")
    async def add_policy(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.csrf_token = "token-of-this-session"
        request.state.caller = CALLER
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.get("/live")
    def live(request: Request) -> HTMLResponse:
        beats = int(request.cookies.get("beats", "0")) + 1
        answer = HTMLResponse(
            f'<p>Beat {beats}</p><input class="input" id="note" aria-label="Note">'
        )
        answer.set_cookie("beats", str(beats))
        return answer

    @app.post("/echo")
    def echo(request: Request) -> HTMLResponse:
        return HTMLResponse(f"token: {request.headers.get('x-csrf-token')}")

    @app.get("/chart.json")
    def chart() -> dict[str, Any]:
        return a_chart({"label": "Requests", "values": a_wave(400, 200)})

    @app.get("/pages/{name}")
    def page(request: Request, name: str) -> HTMLResponse:
        current = {"overview": "Overview", "issue": "Errors"}.get(name, "Health checks")
        return render(request, f"{name}.html", **the_context(current))

    return app


@pytest.fixture(scope="module")
def gallery_url() -> Iterator[str]:
    """The address of the gallery, served for as long as the module's tests run."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(gallery(), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        eventually(lambda: server.started, every_seconds=0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
