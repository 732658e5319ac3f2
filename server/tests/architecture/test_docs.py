"""The docs: tables say what the program says, links lead somewhere, code blocks are code."""

import ast
import base64
import hashlib
import hmac
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
SECRET = "whsec_" + base64.b64encode(b"a secret of the receiver").decode()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/**/*.md")])
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
WITH_PYTHON = [*GUIDES, ROOT / "README.md", ROOT / "sdk/README.md"]
# What a reader would do after copying a guide's code into `guide.py`.
ASKED_AS_ASGI = """
from starlette.testclient import TestClient
import guide
with TestClient(guide.app) as client:
    print(client.get("/articles/7").json(), client.get("/api/health").json()["status"])
"""
ASKED_FOR_TITLES = """
from starlette.testclient import TestClient
import guide
with TestClient(guide.app) as client:
    assert client.get("/articles/7/title").headers["cache-status"].endswith("stored")
    assert "hit" in client.get("/articles/7/title").headers["cache-status"]
    assert client.put("/articles/7/title", json={"title": 7}).status_code == 422
    assert client.put("/articles/7/title", json={"title": "x"}).json() == {"title": "x"}
    assert client.get("/articles/7/title").headers["cache-status"].endswith("stored")
    assert 'app_records{kind="articles"} 7' in client.get("/api/metrics").text
print({"number": 7}, "healthy")
"""
ASKED_FOR_KEPT = """
from starlette.testclient import TestClient
import guide
with TestClient(guide.app) as client:
    told = [client.get("/articles/7").headers["cache-status"] for _ in range(2)]
    assert [one.split(";")[1] for one in told] == [" fwd=uri-miss", " hit"], told
    assert client.get("/articles/7").json()["number"] == 7
    client.put("/articles/7")
    assert client.get("/articles/7").headers["cache-status"].endswith("stored")
print({"number": 7}, "healthy")
"""
ASKED_AS_WSGI = """
import json
from wsgiref.util import setup_testing_defaults
import guide
def get(path):
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    body = served(environ, lambda status, headers, exc_info=None: None)
    return json.loads(b"".join(body))
served = guide.APPLICATION
print(get("/articles/7"), get("/api/health")["status"])
"""
ASKED_TO_VALIDATE = """
from starlette.testclient import TestClient
import guide
with TestClient(guide.app) as client:
    good = client.post("/shops/acme/orders", json={"customer": "x", "lines": [{"article": 1}]})
    bad = client.post("/shops/acme/orders", json={"customer": "x", "lines": [{"article": "1"}]})
assert good.json() == {"shop": "acme", "lines": 1}
assert bad.json() == {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "code": "body-invalid",
    "detail": "The body is not what is asked for here; see errors, and send it again.",
    "errors": [{"detail": "It must be a whole number.", "pointer": "#/lines/0/article"}],
}
print({"number": 7}, "healthy")
"""
DJANGO_SITE = """
from django.http import JsonResponse
from django.urls import path
SECRET_KEY = "guide"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.settings"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
urlpatterns = [path("articles/<int:number>", lambda _, number: JsonResponse({"number": number}))]
"""


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """`scripts/docs.py` as a module."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts/docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_table_is_fresh(docs: ModuleType) -> None:
    assert [ids(page) for page in docs.stale_pages(ROOT)] == [], "run `make docs`"


def test_a_page_that_says_something_else_is_noticed_and_keeps_what_people_wrote(
    docs: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "docs/areas/ip_allowlist.md"
    page.parent.mkdir(parents=True)
    page.write_text("# IP allowlist\n\n## Jobs\n\nBy hand.\n")

    (first,) = docs.stale_pages(tmp_path).values()
    page.write_text(first.replace("No jobs.", "A job that is gone."))
    (second,) = docs.stale_pages(tmp_path).values()
    page.write_text(second)

    assert first.startswith("# IP allowlist\n\n## Jobs\n\n<!-- make docs: Jobs -->\n\nNo jobs.\n")
    assert first.endswith("<!-- end -->\n\nBy hand.\n")
    assert second == first
    assert docs.stale_pages(tmp_path) == {}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", WITH_PYTHON, ids=ids)
def test_python_in_guides_can_be_read_and_imports_what_exists(page: Path) -> None:
    blocks = python_blocks(page)

    assert blocks, "a guide shows code"
    assert [name for block in blocks for name in imported(block) if not is_there(name)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("guide", "asked"),
    [
        ("fastapi", ASKED_AS_ASGI),
        ("fastapi", ASKED_FOR_TITLES),
        ("flask", ASKED_AS_WSGI.replace("APPLICATION", "app")),
        ("django", ASKED_AS_WSGI.replace("APPLICATION", "application")),
        ("sentry-sdk", "import guide; print({'number': 7}, 'healthy')"),
        ("caching", ASKED_FOR_KEPT),
        ("databases", "import guide; print({'number': 7}, 'healthy')"),
        ("validation", ASKED_TO_VALIDATE),
    ],
)
def test_an_app_copied_from_a_guide_answers_and_says_that_it_is_well(
    guide: str, asked: str, tmp_path: Path
) -> None:
    (tmp_path / "guide.py").write_text("".join(python_blocks(ROOT / f"docs/guides/{guide}.md")))
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "settings.py").write_text(DJANGO_SITE)

    ended = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ended.stdout == "{'number': 7} healthy\n", ended.stderr


def test_the_receiver_of_the_guide_believes_what_is_signed_and_nothing_else() -> None:
    (block,) = python_blocks(ROOT / "docs/guides/webhook-receiver.md")
    receiver: dict[str, object] = {}
    exec(compile(block, "webhook-receiver.md", "exec"), receiver)  # noqa: S102 - our own docs
    is_genuine = receiver["is_genuine"]
    assert callable(is_genuine)
    headers = signed(b"{}", at=1_000)

    assert is_genuine(SECRET, headers, b"{}", now=1_010)
    assert not is_genuine(SECRET, headers, b"{} ", now=1_010), "changed on the way"
    assert not is_genuine(SECRET, headers, b"{}", now=1_301), "kept and sent again later"
    assert not is_genuine("whsec_" + "A" * 32, headers, b"{}", now=1_010), "another secret"
    assert not is_genuine(SECRET, {}, b"{}", now=1_010), "no signature"
    both = headers | {"webhook-signature": "v1,old " + headers["webhook-signature"]}
    assert is_genuine(SECRET, both, b"{}", now=1_010), "two signatures while a secret changes"


def signed(body: bytes, *, at: int) -> dict[str, str]:
    """The headers as Standard Webhooks says: HMAC-SHA256 of `id.timestamp.body`."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.digest(key, b"msg_1.%d." % at + body, hashlib.sha256)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# There\n\n## What it is, exactly\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#what-it-is-exactly) [c](gone.md) [d](there.md#gone)\n"
        "```sh\n[e](not-a-link.md)\n```\n[f](https://elsewhere.example)\n"
    )

    assert broken_links(page) == ["gone.md", "there.md#gone"]


def broken_links(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [*re.findall(r"\]\(([^)\s]+)\)", prose), *re.findall(r'src(?:set)?="([^"]+)"', prose)]
    return [link for link in links if "://" not in link and not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not heading or heading in {anchor(line) for line in headings(target)}


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def imported(block: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


def is_there(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None
