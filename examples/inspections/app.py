"""Inspections: a small service that uses Mainstay in the ways an app can.

Errors go out through the unmodified sentry-sdk, requests and health through Mainstay's own SDK;
both read the same DSN. With a guard key in it, Mainstay's guard decides who may call. Some of the
routes have bugs on purpose: those are what you look at.

    MAINSTAY_DSN=http://…@127.0.0.1:8000/1 uvicorn app:app
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import mainstay
import sentry_sdk
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

DSN = os.environ.get("MAINSTAY_DSN")
RELEASE = "inspections@1.4.2"
ENVIRONMENT = os.environ.get("INSPECTIONS_ENVIRONMENT", "production")
DATABASE = os.environ.get("INSPECTIONS_DATABASE", "inspections.db")

sentry_sdk.init(dsn=DSN, release=RELEASE, environment=ENVIRONMENT)
mainstay.init(DSN, release=RELEASE, environment=ENVIRONMENT)

log = logging.getLogger("inspections")

GRADES = {"A": "no defects", "B": "minor defects", "C": "repair within 30 days"}
SITES = {1: "Harbour depot", 2: "North yard", 3: "Airport", 4: "River terminal"}
MOST_PHOTO_BYTES = 200_000
SECONDS_PER_REPORT_PAGE = 0.004
LONGEST_REPORT_SECONDS = 2.0


class NewInspection(BaseModel):
    """What an inspector fills in at the gate."""

    site_id: int = Field(ge=1)
    vehicle: str = Field(min_length=2, max_length=20)
    grade: str = Field("A", pattern="^[A-D]$")
    defects: int = Field(0, ge=0, le=100)


class Inspection(NewInspection):
    """An inspection with its number."""

    id: int


class UnreadablePhoto(ValueError):
    """The photo is in a format that the archive cannot read."""


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """One connection and one transaction."""
    with closing(sqlite3.connect(DATABASE, timeout=5)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


def create_tables() -> None:
    """Make the tables of a new database; a no-op on one that has them."""
    with database() as db:
        db.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE IF NOT EXISTS inspections (id INTEGER PRIMARY KEY,"
            " site_id INTEGER NOT NULL, vehicle TEXT NOT NULL, grade TEXT NOT NULL,"
            " defects INTEGER NOT NULL);"
            "CREATE TABLE IF NOT EXISTS photos (inspection_id INTEGER NOT NULL,"
            " bytes INTEGER NOT NULL);"
        )


def database_answers() -> None:
    """The health check of the database: fails when this raises."""
    with database() as db:
        db.execute("SELECT count(*) FROM inspections WHERE id < 100").fetchone()


create_tables()
api = FastAPI(title="Inspections")


@api.get("/inspections")
def list_inspections(site_id: int | None = None, limit: int = 20) -> list[Inspection]:
    """The newest inspections, of one site or of all."""
    with database() as db:
        rows = db.execute(
            "SELECT * FROM inspections WHERE ?1 IS NULL OR site_id = ?1 ORDER BY id DESC LIMIT ?2",
            (site_id, min(limit, 100)),
        )
        return [Inspection(**dict(row)) for row in rows]


@api.post("/inspections", status_code=201)
def create_inspection(new: NewInspection) -> Inspection:
    """Write an inspection down."""
    if new.site_id not in SITES:
        raise HTTPException(422, f"There is no site {new.site_id}.")
    with database() as db:
        made = db.execute(
            "INSERT INTO inspections (site_id, vehicle, grade, defects) VALUES (?, ?, ?, ?)",
            (new.site_id, new.vehicle, new.grade, new.defects),
        )
        return Inspection(id=made.lastrowid or 0, **new.model_dump())


@api.get("/inspections/{inspection_id}")
def get_inspection(inspection_id: int) -> Inspection:
    """One inspection."""
    with database() as db:
        row = db.execute("SELECT * FROM inspections WHERE id = ?", (inspection_id,)).fetchone()
    if row is None:
        raise HTTPException(404, f"There is no inspection {inspection_id}.")
    return Inspection(**dict(row))


@api.get("/inspections/{inspection_id}/certificate")
def get_certificate(inspection_id: int) -> dict[str, Any]:
    """What hangs behind the windscreen. Bug: nobody wrote down what the grade D means."""
    return certificate_of(get_inspection(inspection_id))


def certificate_of(inspection: Inspection) -> dict[str, Any]:
    """The certificate's text."""
    return {"vehicle": inspection.vehicle, "result": wording(inspection.grade)}


def wording(grade: str) -> str:
    """A grade in words."""
    return GRADES[grade].capitalize()


@api.post("/inspections/{inspection_id}/photos", status_code=201)
async def add_photo(inspection_id: int, request: Request) -> dict[str, int]:
    """Keep a photo's size. Bug: phones send HEIC, and that is nobody's fault but ours."""
    photo = await request.body()
    if len(photo) > MOST_PHOTO_BYTES:
        raise HTTPException(413, f"A photo may have {MOST_PHOTO_BYTES} bytes.")
    if not photo.startswith(b"\xff\xd8"):
        raise UnreadablePhoto(f"not a JPEG: {request.headers.get('content-type', 'no type')}")
    with database() as db:
        db.execute("INSERT INTO photos VALUES (?, ?)", (inspection_id, len(photo)))
    return {"bytes": len(photo)}


@api.get("/sites/{site_id}/score")
def get_score(site_id: int) -> dict[str, float]:
    """Defects per inspection. Bug: a site where nothing was inspected yet."""
    with database() as db:
        count, defects = db.execute(
            "SELECT count(*), total(defects) FROM inspections WHERE site_id = ?", (site_id,)
        ).fetchone()
    return {"defectsPerInspection": defects / count}


@api.get("/reports/{year}")
@mainstay.cost(5)
def get_report(year: int, pages: int = 20) -> dict[str, int]:
    """Print the year; a long report takes long, and one that takes too long is given up."""
    seconds = pages * SECONDS_PER_REPORT_PAGE
    time.sleep(min(seconds, LONGEST_REPORT_SECONDS))  # stands for a printer that is slow per page
    if seconds > LONGEST_REPORT_SECONDS:
        log.error("The report of %s was given up after %s s", year, LONGEST_REPORT_SECONDS)
        raise HTTPException(504, "The report took too long; ask for fewer pages.")
    return {"year": year, "pages": pages}


health = mainstay.Health(
    version=RELEASE,
    checks={"database": database_answers},
    required_environment=("INSPECTIONS_SIGNING_KEY",),
)
app = mainstay.Guard(api, health=health)
