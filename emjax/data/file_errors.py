"""Errors of the engine on vote files in one line: what is wrong, in how many rows, of which file."""

import re
from collections.abc import Sequence
from contextlib import suppress

import duckdb

from emjax.data.file_tables import cells_of
from emjax.data.json_lines import lines_of
from emjax.data.text_encoding import BROKEN, WHOLE, not_utf8, unpacking

_OTHER_CELLS = r"Expected Number of Columns: (\d+) Found: (\d+)"
_TELLING = ("Expected Number", "Value with")
_NAMES = "name a column of text or numbers"


def explain(error: Exception, paths: Sequence[str]) -> str:
    """One line out of the engine's many, with the file where it is known."""
    text = str(error)
    lines = [line.strip().rstrip(".") for line in text.split("\n")]
    first = first_line(error).rstrip(".")
    if _NAMES in first:
        return first
    reason = ". ".join([first, *(line for line in lines[1:4] if line.startswith(_TELLING))])
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"the votes do not fit into memory ({reason}): give a higher memory_limit"
    if "No space left" in text:
        return f"the disk is full ({reason}): free some space, or set TMPDIR to a folder on a larger one"
    named = [line.removeprefix("file = ") for line in lines if line.startswith("file = ")]
    named += re.findall(r'in file "(.*?)"', first)
    read = (*named, *(path for path in paths if path in text or len(paths) == 1), "the files")[0]
    where = paths[0] if len(paths) == 1 else read  # what was read may be a copy of it
    if "invalid unicode" in text.lower() or "invalid UTF-8" in text:
        found = re.search(r"on Line: (\d+)", text)
        return not_utf8(where, f"{int(found[1]):,}" if found else "")
    if "invalid state" in text and _lines_end_in_two_ways(where):
        return f"some lines of {where} end in CRLF and others in LF: make them alike, as dos2unix does"
    shape = _how_many(text, [read] if read != "the files" else paths)
    reason = reason.replace(f' in file "{read}"', "")
    return f"cannot read {where}: {reason}{shape}; {WHOLE}"


def first_line(error: Exception) -> str:
    """What an error of the engine says first, without its class."""
    line = str(error).strip().split("\n")[0]
    return line.partition(" Error: ")[2] or line


def _how_many(text: str, paths: Sequence[str]) -> str:
    """How many rows have another shape than the others, in brackets; nothing if that is not what is wrong."""
    cells = re.search(_OTHER_CELLS, text)
    found = None
    with suppress(duckdb.Error), duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        if cells is not None:
            found = _other_cells(engine, text, paths, int(cells[1]))
        elif "Expected OBJECT, but got" in text:
            found = _no_objects(engine, paths)
    return "" if found is None else f" ({found})"


def _other_cells(
    engine: duckdb.DuckDBPyConnection, text: str, paths: Sequence[str], width: int
) -> str | None:
    """Rows of a file of text, read once more in the dialect that the error names."""
    separator = re.search(r"^\s*delimiter = (.) ", text, re.MULTILINE)
    skip = re.search(r"^\s*skip_rows = (\d+) ", text, re.MULTILINE)
    if separator is None or skip is None:
        return None
    table = cells_of(engine, paths, separator[1], int(skip[1]), width, store_rejects=True, rejects_limit=0)
    table.aggregate(", ".join(f"count(column{place})" for place in range(width))).fetchall()
    rows, first = engine.execute(
        "SELECT count(DISTINCT line), min(line) FROM reject_errors "
        "WHERE error_type IN ('MISSING COLUMNS', 'TOO MANY COLUMNS')"
    ).fetchall()[0]
    if not rows:
        return None
    have = "row has" if rows == 1 else "rows have"
    return f"{rows:,} {have} another number of cells than the {width} of the header, first at line {first:,}"


def _no_objects(engine: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> str | None:
    """Rows of files of JSON lines."""
    numbered = lines_of(engine, paths).project("*, row_number() OVER () AS row_number")
    other = numbered.filter("json_type(json) IS DISTINCT FROM 'OBJECT'")
    rows, first = other.aggregate("count(*), min(row_number)").fetchall()[0]
    hold = "row is" if rows == 1 else "rows are"
    return f"{rows:,} {hold} no JSON object, first at row {first:,}" if rows else None


def _lines_end_in_two_ways(path: str) -> bool:
    try:
        with unpacking(path)(path, "rb") as file:
            start = file.read(1_000_000)
    except BROKEN:
        return False
    return 0 < start.count(b"\r\n") < start.count(b"\n")
