"""CSV dialects: files as spreadsheets and survey tools write them are the same votes, or one clear line."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from emjax.data import read_votes
from emjax.data.csv_dialect import dialect_of
from emjax.data.read_files import opened
from emjax.errors import EmjaxWarning, VotesError

NAMES = ("user", "model_a", "model_b", "winner")
ROWS = [(1, "new", "base", "model_a"), (2, "new", "base", "model_b"), (1, "old", "base", "a")]
TOLD: dict[str, str | None] = dict.fromkeys(NAMES)


def text_of(separator: str = ",", names=NAMES, rows=ROWS, end: str = "\n") -> str:
    return "".join(separator.join(map(str, row)) + end for row in (names, *rows))


def more(*cells: str) -> list[tuple]:
    """The rows, with these cells behind each of them."""
    return [(*row, *cells) for row in ROWS]


def expected():
    return read_votes(pd.DataFrame(ROWS, columns=list(NAMES)))


def header_of(path: Path, text: str, kind: str = "csv") -> tuple[tuple[str, ...], str]:
    path.write_text(text, encoding="utf-8")
    names, dialect = dialect_of(str(path), kind)
    return names, dialect.separator


FILES = {
    "UTF-16 with a mark": text_of("\t").encode("utf-16"),
    "UTF-16 of the other order": ("\ufeff" + text_of()).encode("utf-16-be"),
    "UTF-16 without a mark": text_of(";").encode("utf-16-le"),
    "UTF-32": text_of().encode("utf-32"),
    "a mark and CRLF": text_of(";", end="\r\n").encode("utf-8-sig"),
    "carriage returns alone": text_of(end="\r").encode(),
    "sep=;": ("sep=;\n" + text_of(";")).encode(),
    "sep=; with a mark": ("SEP=;\r\n" + text_of(";", end="\r\n")).encode("utf-8-sig"),
    "sep=; in quotes with a mark": ('"sep=;"\r\n' + text_of(";", end="\r\n")).encode("utf-8-sig"),
    "sep=| in UTF-16": ("sep=|\n" + text_of("|")).encode("utf-16"),
    "sep=^ that no one would try": ("sep=^\n" + text_of("^")).encode(),
    "blank lines at the top": ("\n \n,,,\n" + text_of()).encode(),
    "blank lines at the end": (text_of() + "\n\n").encode(),
    "an empty last column": text_of(names=(*NAMES, ""), rows=more("")).encode(),
    "commas in a quoted name": text_of(";", (*NAMES, '"better, worse, or ""equal""?"'), more("")).encode(),
    "commas in numbers": text_of(";", (*NAMES, "seconds"), more("1,5")).encode(),
    "separators in cells": text_of(names=(*NAMES, "a", "b"), rows=more('";|;|\n;|;|"', "x")).encode(),
    "JSON in cells": text_of(names=(*NAMES, "a"), rows=more('"[""x; y"", ""z; z; z"", null]"')).encode(),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", list(FILES))
def test_files_of_spreadsheets_are_read(what, packed, tmp_path, assert_same):
    path = tmp_path / ("v.csv.gz" if packed else "v.csv")
    path.write_bytes(gzip.compress(FILES[what]) if packed else FILES[what])
    assert_same(read_votes(path), expected())


def test_the_separator_is_the_one_under_which_rows_are_alike(tmp_path):
    path = tmp_path / "v.csv"
    names = ("a", "b, c, d or e", "f")
    assert header_of(path, text_of(";", names, [(1, "x", 2)] * 3)) == (names, ";")
    assert header_of(path, text_of(",", names, [(1, "x;y|z", "p;q", "", 2)]))[1] == ","
    assert header_of(path, 'a|"b,c,d"|e\n') == (("a", "b,c,d", "e"), "|")
    assert header_of(path, "user\n1\n") == (("user",), ",")
    assert header_of(path, text_of(";", ("a,b", "c\td"), [("1,2", "3\t4")]), "tsv")[1] == "\t"
    assert header_of(path, text_of(",", ("a", "b"), [(1, 2)]), "tsv")[1] == ","
    long = text_of(";", ("a", "b"), [(1, "x, y" * 60_000)] * 30)
    assert header_of(path, long) == (("a", "b"), ";")


def test_a_separator_that_is_given_is_taken(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(text_of("^"))
    with opened(path, TOLD, None, separator="^") as files:
        assert files.rows().fetchall() == [tuple(map(str, row)) for row in ROWS]
    path.write_text(text_of("\t", rows=[("1,2", "x,y", "y,z", "a")]))
    with opened(path, TOLD, None, separator=r"\t") as files:
        assert files.rows().fetchall() == [("1,2", "x,y", "y,z", "a")]


def test_an_encoding_that_is_given_is_taken(tmp_path):
    names = [tmp_path / "1.csv", tmp_path / "2.csv"]
    for path, encoding in zip(names, ("cp1252", "utf-16"), strict=True):  # a mark says more than the option
        path.write_bytes(text_of(rows=[("José", "x", "y", "a")]).encode(encoding))
    with opened(names, TOLD, None, encoding="Windows-1252") as files:
        assert files.rows().fetchall() == [("José", "x", "y", "a")] * 2
        assert files.labels()[0] == (str(names[0]), f" of {names[0]}")


WRONG = [
    ({"separator": "::"}, "separator='::' cannot be used: give one character, as in ';', or 'tab'"),
    ({"separator": '"'}, "separator='\"' cannot be used: give one character, as in ';', or 'tab'"),
    ({"encoding": "latin-17"}, "encoding='latin-17' is not known: give one such as 'windows-1252' or "),
    ({"encoding": "hex"}, "encoding='hex' is not known: give one such as 'windows-1252' or 'utf-16'"),
    ({"encoding": "utf-16"}, "cannot read {path}: UTF-16 stream does not start with BOM in text of the "),
]


@pytest.mark.parametrize("options, message", WRONG)
def test_separators_and_encodings_that_do_not_fit(options, message, tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(text_of())
    with pytest.raises(VotesError) as error, opened(path, TOLD, None, **options):
        pass
    assert str(error.value).startswith(message.format(path=path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, option", [("v.parquet", "separator"), ("v.jsonl", "separator"), ("v.pq", "encoding")]
)
def test_options_for_text_are_refused_for_other_files(name, option, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"anything")
    value = {"separator": ";", "encoding": "utf-16"}[option]
    expected = pytest.raises(VotesError, match=rf"^{option}='{value}' is for csv and tsv")
    with expected, opened(path, TOLD, None, **{option: value}):
        pass


IDS = [f'"{{""ImportId"":""QID{number}""}}"' for number in range(4)]
QUESTIONS = ["Who?", "Left", "Right", '"Which is\nbetter, ""left"" or right?"']


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_two_more_header_rows_are_left_out_with_a_note(separator, tmp_path, assert_same):
    path = tmp_path / "v.csv"
    path.write_text(text_of(separator, rows=[QUESTIONS, IDS, *ROWS]))
    with pytest.warns(EmjaxWarning, match="hold texts of questions and ImportIds, as Qualtrics writes them"):
        assert_same(read_votes(path), expected())
    with pytest.warns(EmjaxWarning), opened(path, TOLD, None) as files:
        assert len(files.whole_rows()[1].fetchall()) == len(ROWS)


def test_rows_that_only_resemble_more_headers_are_votes(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(text_of(rows=[("ImportId", "x", "y", "a"), ("ImportId", "ImportId", "y", "a"), *ROWS]))
    assert read_votes(path).n_votes == len(ROWS) + 2


DAMAGED = {
    "half a character": (
        "v.csv",
        text_of().encode("utf-16")[:-1],
        "truncated data in text of the encoding utf-16",
    ),
    "bytes of value 0": ("v.csv", bytes(50), "there are bytes of value 0 in its first row"),
    "half a gz": (
        "v.csv.gz",
        gzip.compress(text_of("\t").encode("utf-16"))[:-9],
        "Compressed file ended before",
    ),
}


@pytest.mark.parametrize("what", list(DAMAGED))
def test_damaged_text_is_one_line(what, tmp_path):
    name, data, reason = DAMAGED[what]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(VotesError) as error:
        read_votes(path)
    assert str(error.value).startswith(f"cannot read {path}: {reason}") and "\n" not in str(error.value)


def test_two_columns_of_one_name_matter_where_they_are_needed(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(text_of(names=(*NAMES, "note", "note"), rows=more("x", "y")))
    with opened(path, TOLD, None) as files:
        names, rows = files.whole_rows()
        assert names == (*NAMES, "note", "note_1") and rows.fetchall()[0][-2:] == ("x", "y")
    path.write_text(text_of(names=(*NAMES, "winner"), rows=more("a")))
    with pytest.raises(VotesError, match=r"^the winner could be any of 'winner', 'winner'"):
        read_votes(path)
