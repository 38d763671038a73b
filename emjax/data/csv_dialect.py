"""CSV dialect: what separates the cells of a text file, where its header stands, and what is below it."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from emjax.data.text_encoding import BROKEN, WHOLE, not_utf8, unpacking
from emjax.errors import VotesError

_SEPARATORS = ",;\t|"
_TRIED = 20  # rows that a separator is tried on
_SAMPLE = 1 << 20  # bytes
_NAMED = re.compile(r'"?sep=(.)"?\1*', re.IGNORECASE)
_UNDECODED = re.compile("[\udc80-\udcff]")
_SPELLED = {"\\t": "\t", "tab": "\t"}
Row = list[str]


@dataclass(frozen=True)
class Dialect:
    """How a file of text is written.

    Attributes
    ----------
    separator : str
    skip : int
        Lines above the header: blank ones, or `sep=;` as Excel writes it.
    headers : tuple of tuple of str
        Two more rows below the column names, as Qualtrics writes them: texts of questions, and ImportIds.
    """

    separator: str
    skip: int = 0
    headers: tuple[tuple[str, ...], ...] = ()


def known_separator(separator: str | None) -> str | None:
    r"""The separator that a caller names.

    Examples
    --------
    >>> known_separator(";"), known_separator(r"\t")
    (';', '\t')
    """
    found = separator if separator is None else _SPELLED.get(separator.lower(), separator)
    if found is not None and (len(found) != 1 or found in '"\r\n\0'):
        raise VotesError(f"separator={separator!r} cannot be used: give one character, as in ';', or 'tab'")
    return found


def dialect_of(path: str, kind: str, separator: str | None = None) -> tuple[tuple[str, ...], Dialect]:
    """Names of the columns of a file of text in UTF-8, and its dialect.

    Parameters
    ----------
    path : str
    kind : {"csv", "tsv"}
    separator : str, optional
        What a caller says; otherwise the one is taken under which the first rows have as many cells as the
        header, quoted cells being whole.

    Raises
    ------
    VotesError
        The file is damaged, or its header is not UTF-8.

    Notes
    -----
    A limit: only the first 20 rows are looked at, and no more than the first MB.
    """
    try:
        with unpacking(path)(path, "rb") as file:
            sample = file.read(_SAMPLE)
            cut = len(sample) == _SAMPLE and bool(file.read(1))
    except BROKEN as error:
        raise VotesError(f"cannot read {path}: {error}; {WHOLE}") from error
    text = sample.decode("utf-8-sig", "surrogateescape")
    lines = io.StringIO(text, newline="").readlines()
    skip = _blank(lines)
    named = _NAMED.fullmatch(lines[skip].rstrip("\r\n")) if skip < len(lines) else None
    if named is not None:
        separator, skip = separator or named[1], skip + 1 + _blank(lines[skip + 1 :])
    rows = {mark: _rows(lines[skip:], mark, cut) for mark in (separator or _order(kind))}
    found = max(rows, key=lambda mark: _fit(rows[mark], preferred=kind == "tsv" and mark == "\t"))
    header, *below = rows[found] or [[]]
    if any(map(_UNDECODED.search, header)):
        raise VotesError(not_utf8(path))
    if any("\0" in name for name in header):
        raise VotesError(f"cannot read {path}: there are bytes of value 0 in its first row; {WHOLE}")
    more = (
        tuple(map(tuple, below[:2]))
        if len(below) > 1 and all("ImportId" in cell for cell in below[1])
        else ()
    )
    more = more if all(len(row) == len(header) for row in more) else ()
    return tuple(header), Dialect(found, skip, more)


def _blank(lines: list[str]) -> int:
    """How many lines at the top hold no name."""
    return sum(1 for _ in takewhile(lambda line: not line.strip(f" \r\n{_SEPARATORS}"), lines))


def _order(kind: str) -> str:
    """Separators to try; of those that do equally well the first is taken."""
    return "\t,;|" if kind == "tsv" else _SEPARATORS


def _rows(lines: list[str], separator: str, cut: bool) -> list[Row]:
    """The first rows that are not blank; without the last one where the sample ends inside it."""
    rows = list(islice(_parsed(lines, separator), _TRIED + 1))
    return rows[:_TRIED] if len(rows) > _TRIED else rows[:-1] if cut and len(rows) > 1 else rows


def _parsed(lines: list[str], separator: str) -> Iterator[Row]:
    try:
        yield from filter(any, csv.reader(lines, delimiter=separator))
    except csv.Error:  # a cell longer than Python's module takes: the rows above have to do
        return


def _fit(rows: list[Row], *, preferred: bool) -> tuple[bool, bool, float, int, int]:
    """How well a separator does, larger is better."""
    width = len(rows[0]) if rows else 0
    alike = sum(len(row) == width for row in rows) / max(len(rows), 1)
    torn = sum(cell.count('"') % 2 for row in rows for cell in row)  # most often parts of a quoted cell
    return width > 1, width > 1 and preferred, alike, -torn, width
