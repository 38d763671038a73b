"""Text encodings of vote files: recognised by their first bytes; a copy in UTF-8 of what is in another."""

import codecs
import gzip
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emjax.errors import VotesError

WHOLE = "is it complete, and in the format that its name says?"
BROKEN = (OSError, EOFError, zlib.error)  # what a damaged or unreadable file raises
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_AS_IS = ("utf-8", "utf-8-sig", "ascii")
_HEAD = 4096  # bytes that show in which encoding a file is written
_AT_ONCE = 1 << 20  # characters


def unpacking(path: str) -> Any:
    """The function that opens a file, compressed or not."""
    return gzip.open if path.lower().endswith(".gz") else open


def not_utf8(path: str, line: str = "") -> str:
    """The message for a file of text that is not UTF-8, though nothing says what else it is."""
    where = f" (line {line})" if line else ""
    return (
        f"{path} is not UTF-8 text{where}: say which encoding it is in, as in encoding='windows-1252' "
        "(command line: --encoding windows-1252), or save it as UTF-8 (in Excel: Save As, CSV UTF-8)"
    )


def known_encoding(name: str | None) -> str | None:
    """The encoding that a caller names, as Python calls it; None where files can be read as they are.

    Examples
    --------
    >>> known_encoding("UTF8"), known_encoding("Windows-1252")
    (None, 'cp1252')
    """
    if name is None:
        return None
    try:
        "".encode(name)
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise VotesError(
            f"encoding={name!r} is not known: give one such as 'windows-1252' or 'utf-16'"
        ) from None
    return None if found in _AS_IS else found


def utf8_copies(
    paths: Sequence[str], encoding: str | None, folder: Path, *, bare: bool = False
) -> dict[str, str]:
    """For each file that is not UTF-8, the path of a copy that is.

    Parameters
    ----------
    paths : sequence of str
    encoding : str, optional
        What files without a byte order mark are written in, if that is not UTF-8.
    folder : path
        Where the copies lie.
    bare : bool
        Whether a byte order mark has to go, too.

    Raises
    ------
    VotesError
        A file is not in its encoding, is damaged, or the disk is full.
    """
    copies = {}
    for number, path in enumerate(paths):
        marked = _encoding_of(path, bare)
        found = marked or encoding
        if found is not None:
            copy = folder / f"{number}-{os.path.basename(path).lower().removesuffix('.gz')}"
            _transcode(path, found, copy, sure=marked is not None)
            copies[path] = str(copy)
    return copies


def _encoding_of(path: str, bare: bool) -> str | None:
    """The encoding that a byte order mark names, or UTF-16 where every other byte is 0.

    None where nothing says it, or where the engine reads past the mark of UTF-8.
    """
    try:
        with unpacking(path)(path, "rb") as file:
            head = file.read(_HEAD)
    except BROKEN as error:
        raise VotesError(f"cannot read {path}: {error}; {WHOLE}") from error
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if marked == "utf-8-sig":  # the engine cannot leave a quoted first line out that follows the mark
        return marked if bare or head[3:].lower().startswith(b'"sep=') else None
    if marked is not None or len(head) < 4:
        return marked
    even, odd = (part.count(0) / len(part) for part in (head[::2], head[1::2]))
    return "utf-16-le" if odd > 0.9 and even < 0.1 else "utf-16-be" if even > 0.9 and odd < 0.1 else None


def _transcode(path: str, encoding: str, copy: Path, *, sure: bool) -> None:
    try:
        with (
            unpacking(path)(path, "rt", encoding=encoding, newline="") as text,
            copy.open("w", encoding="utf-8", newline="") as out,
        ):
            shutil.copyfileobj(text, out, _AT_ONCE)
    except UnicodeError as error:
        reason = f"{getattr(error, 'reason', error)} in text of the encoding {encoding}"
        remedy = WHOLE if sure else "give its own encoding, or save it as UTF-8"
        raise VotesError(f"cannot read {path}: {reason}; {remedy}") from error
    except BROKEN as error:
        full = "No space left" in str(error)
        remedy = "set TMPDIR to a folder on a larger disk" if full else WHOLE
        raise VotesError(f"cannot read {path}: {error}; {remedy}") from error


def original(text: str, copies: Mapping[str, str]) -> str:
    """A message in which the files are named that were given, and not their copies."""
    for path, copy in copies.items():
        text = text.replace(copy, path)
    return text
