"""Backups in a browser: a key shown once, a long run that moves and is cancelled, a restore."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS, faults_of, new_look, watch
from tests.journeys.running import PROJECT, Mainstay, running_mainstay
from tests.journeys.test_pages import keep_picture, sign_in
from tests.waiting import eventually

pytestmark = pytest.mark.slow

HERE = f"/dashboard/projects/{PROJECT}/backups"
LARGE_BYTES = 400 << 30  # holes: nothing on the disk, and hours to read
SECRET = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}")
WIDTH = 1440


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small databases, and one with a file that takes hours to read."""
    folder = tmp_path_factory.mktemp("app")
    for name in ("orders.db", "stock.db"):
        with closing(sqlite3.connect(folder / name)) as database:
            database.execute("CREATE TABLE boats (id INTEGER PRIMARY KEY, what TEXT)")
            database.executemany("INSERT INTO boats (what) VALUES (?)", [("a boat",)] * 1000)
            database.commit()
    (folder / "large").mkdir()
    with (folder / "large" / "holes.bin").open("wb") as file:
        file.truncate(LARGE_BYTES)
    return folder


@pytest.fixture(scope="module")
def server(app: Path) -> Iterator[Mainstay]:
    with running_mainstay({"MAINSTAY_BACKUP_FOLDERS": str(app)}) as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: Browser, server: Mainstay) -> Iterator[Page]:
    context = new_look(browser, theme="dark", width=WIDTH, url=server.url)
    yield sign_in(context, server)
    context.close()


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    found: list[str] = []
    watch(page, found)
    yield found
    assert found == []


def set_up(page: Page, server: Mainstay, engine: str, *, name: str, path: Path, keys: str) -> str:
    """Fill in the form as a person would; returns the secret key that is shown."""
    page.goto(f"{server.url}{HERE}/new?engine={engine}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("The fol" if engine == "files" else "The file").fill(str(path))
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("It answers")).to_be_visible()
    page.get_by_label("Keys", exact=True).select_option(keys)
    page.get_by_label("Runs by its schedule").uncheck()
    page.get_by_role("button", name="Back it up").click()
    secret = page.locator(".secret-value").inner_text()
    assert SECRET.fullmatch(secret)
    return secret


def test_a_key_is_made_shown_downloaded_and_gone(
    page: Page, server: Mainstay, app: Path, complaints: list[str]
) -> None:
    secret = set_up(page, server, "sqlite", name="orders", path=app / "orders.db", keys="kept")
    assert faults_of(page, width=WIDTH) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download key.txt").click()
    kept = Path(download.value.path()).read_text()

    assert kept.splitlines()[-1] == secret
    assert "# public key: age1" in kept
    page.get_by_role("link", name="I have kept the key").click()
    expect(page.get_by_role("heading", name="orders", level=1)).to_be_visible()
    assert secret not in page.content()


def test_what_retention_would_do_follows_the_form(
    page: Page, server: Mainstay, complaints: list[str]
) -> None:
    page.goto(f"{server.url}{HERE}/new?engine=files")
    expect(page.locator("#backups-preview")).to_contain_text("After a year 120 backups of 1,460")

    page.get_by_label("Runs", exact=True).select_option("daily")

    expect(page.locator("#backups-preview")).to_contain_text("After a year 30 backups of 365")


def test_a_long_run_is_seen_moving_and_is_cancelled(
    page: Page, server: Mainstay, app: Path, complaints: list[str]
) -> None:
    set_up(page, server, "files", name="archive", path=app / "large", keys="shown")
    page.get_by_role("link", name="I have kept the key").click()
    page.get_by_role("button", name="Back up now").click()
    shown = page.locator("#live-progress .progress-text")
    expect(shown).to_contain_text("Dumping and sealing")
    first = shown.inner_text()

    expect(shown).not_to_have_text(first)
    expect(shown).to_contain_text("/s")
    assert faults_of(page, width=WIDTH) == []
    keep_picture(page, "backup-under-way")
    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_text("No copy was stored")).to_be_visible()
    expect(page.locator("main").get_by_text("Cancelled").first).to_be_visible()
    backup = page.url.rpartition("/")[2].partition("?")[0]
    assert server.get(f"/api/backups/{backup}")["copies"] == []


def test_a_backup_is_made_proven_and_restored_step_by_step(
    page: Page, server: Mainstay, app: Path, complaints: list[str]
) -> None:
    set_up(page, server, "sqlite", name="stock", path=app / "stock.db", keys="kept")
    page.get_by_role("link", name="I have kept the key").click()
    page.get_by_role("button", name="Back up now").click()
    expect(page.get_by_role("button", name="Try a restore")).to_be_visible()
    backup = page.url.rpartition("/")[2].partition("?")[0]
    eventually(lambda: server.get(f"/api/backups/{backup}")["verifiedAt"])
    page.reload()
    expect(page.get_by_text("restored and compared").first).to_be_visible()
    keep_picture(page, "backup-proven")
    with closing(sqlite3.connect(app / "stock.db")) as database:
        database.execute("DELETE FROM boats")
        database.commit()

    page.get_by_role("link", name="Restore", exact=True).click()
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#backups-looked")).to_contain_text("something, which would be removed")
    page.get_by_label("Type stock").fill("stock")
    assert faults_of(page, width=WIDTH) == []
    keep_picture(page, "restore-wizard")
    page.get_by_role("button", name="Restore", exact=True).click()

    expect(page.get_by_text("Restored, and every table is as it was")).to_be_visible()
    keep_picture(page, "restore-ended")
    with closing(sqlite3.connect(app / "stock.db")) as database:
        assert database.execute("SELECT count(*) FROM boats").fetchone() == (1000,)
    page.get_by_role("link", name="See it").click()
    expect(page.get_by_role("heading", name="Backup of stock")).to_be_visible()
