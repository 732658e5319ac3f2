"""The error codes are the engine's own, and each blames the right side."""

from pathlib import Path

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns.refusals import (
    DATA_CODES,
    ENGINE_CODES,
    TOO_BROAD_CODES,
    EngineError,
    Fault,
)


def test_every_code_has_the_name_that_the_engine_gives_it(tmp_path: Path) -> None:
    columns.open_columns(f"chdb://{tmp_path}/columns", tables=[])
    known = {**DATA_CODES, **ENGINE_CODES, **TOO_BROAD_CODES}

    rows = columns.query(
        "SELECT arrayJoin({codes:Array(Int32)}) AS code, errorCodeToName(code) AS name",
        codes=list(known),
    )

    assert {row["code"]: row["name"] for row in rows} == known
    assert not set(DATA_CODES) & set(ENGINE_CODES)


@pytest.mark.parametrize(
    ("message", "code", "fault"),
    [
        ("no answer", None, Fault.ENGINE),
        ("Cannot reserve 1.56 MiB, not enough space", 243, Fault.ENGINE),
        ("Too many parts (3000)", 252, Fault.ENGINE),
        ("Too many partitions for single INSERT block", 252, Fault.DATA),
        ("Constraint is violated", 469, Fault.DATA),
        ("something new", 99_999, Fault.UNKNOWN),
    ],
)
def test_who_is_to_blame(message: str, code: int | None, fault: Fault) -> None:
    assert EngineError(message, code=code).fault is fault
