"""Why the engine said no: the fault of the data, of the engine, or of the question."""

import re
from enum import Enum

from mainstay_server.kernel.problems import Invalid, Problem, TooManyRequests, Unavailable


class Full(TooManyRequests):
    """More bytes wait to be stored than the waiting room holds; nothing of this append is kept."""

    code = "columns-full"


class EngineRefused(Unavailable):
    """The column engine cannot store or answer for now, by no fault of what was sent."""

    code = "columns-unavailable"


class TooBroad(Invalid):
    """The question reads or returns more than one answer may."""

    code = "question-too-broad"


class Fault(Enum):
    """Who has to change something before the same call can succeed."""

    DATA = "data"
    ENGINE = "engine"
    UNKNOWN = "unknown"


class EngineError(Exception):
    """What the engine said. `code` is ClickHouse's number, None when no answer came at all."""

    def __init__(self, message: str, *, code: int | None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def fault(self) -> Fault:
        """Whose fault it is, by the code alone but for one code that has two meanings.

        An unknown code is neither: the batch is split, so that no single append can hold up all
        others for ever, but what fails alone may be sent again.
        """
        if self.code is None or self.code in ENGINE_CODES:
            return Fault.ENGINE
        if self.code == TOO_MANY_PARTS:
            # One insert that spans too many days and a table with too many parts share this code.
            return Fault.DATA if "partitions for single INSERT" in str(self) else Fault.ENGINE
        return Fault.DATA if self.code in DATA_CODES else Fault.UNKNOWN


UNKNOWN_TABLE = 60
READONLY = 164
CORRUPTED_DATA = 246
TOO_MANY_PARTS = 252

DATA_CODES = {
    6: "CANNOT_PARSE_TEXT",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    108: "NO_DATA_TO_INSERT",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    130: "CANNOT_READ_ARRAY_FROM_TEXT",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    306: "TOO_DEEP_RECURSION",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    407: "DECIMAL_OVERFLOW",
    436: "PROTOBUF_BAD_CAST",
    441: "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    632: "UNEXPECTED_DATA_AFTER_PARSED_VALUE",
    675: "CANNOT_PARSE_IPV4",
    676: "CANNOT_PARSE_IPV6",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
}

ENGINE_CODES = {
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    159: "TIMEOUT_EXCEEDED",
    READONLY: "READONLY",
    198: "DNS_ERROR",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    CORRUPTED_DATA: "CORRUPTED_DATA",  # seen on a full disk, of a part that was just being written
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    497: "ACCESS_DENIED",
    499: "S3_ERROR",
    516: "AUTHENTICATION_FAILED",
    999: "KEEPER_EXCEPTION",
}

TOO_BROAD_CODES = {
    158: "TOO_MANY_ROWS",
    159: "TIMEOUT_EXCEEDED",
    241: "MEMORY_LIMIT_EXCEEDED",
    307: "TOO_MANY_BYTES",
    396: "TOO_MANY_ROWS_OR_BYTES",
}

RETRY_AFTER_SECONDS = 5.0
MAX_QUOTED_CHARACTERS = 300
_NOTICED_WHERE = re.compile(r"(: \(in file/uri|: While executing|\(for url).*", re.DOTALL)


def refusal_of_append(error: EngineError, *, table: str) -> Problem:
    """Turn what the engine said about one append into what its sender is told."""
    if error.fault is Fault.DATA:
        return Invalid(f"The rows do not fit the table {table}: {_quoted(error)} Correct them.")
    return EngineRefused(
        f"The rows were not stored in {table}; send them again later. {_quoted(error)}",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


def refusal_of_open(error: EngineError) -> EngineRefused:
    """Turn what the engine said about a change of its tables into what the operator is told."""
    return EngineRefused(
        "The tables could not be brought to what is declared; remove the cause and start again."
        f" {_quoted(error)}"
    )


def refusal_of_query(error: EngineError) -> Problem | None:
    """Turn what the engine said about a question into a refusal; None when the SQL is a bug."""
    if error.code in TOO_BROAD_CODES:
        return TooBroad("The answer would take too long or be too large; narrow the time range.")
    if error.code is None or error.code in set(ENGINE_CODES) - {READONLY}:
        return EngineRefused(
            f"The column engine did not answer; try again later. {_quoted(error)}",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    return None


def _quoted(error: EngineError) -> str:
    """Return what is wrong, without where in the engine it was noticed."""
    reason = str(error).rpartition("DB::Exception: ")[2]
    return " ".join(_NOTICED_WHERE.sub("", reason).split())[:MAX_QUOTED_CHARACTERS]
