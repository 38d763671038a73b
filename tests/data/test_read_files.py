"""Files: found, read without guessing, the same votes from every format, plain words for broken ones."""

import gzip
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emjax.data import read_votes
from emjax.data.aggregate import aggregate
from emjax.errors import VotesError

HEADER = "user,model_a,model_b,winner"
ROWS = [
    (1, "new", "base", "model_a"),
    (2, "new", "base", "model_b"),
    (1, "old", "base", "tie"),
    (2, "base", "new", "left"),
    (12, "new", "base", "new"),
]
TABLE = dict(zip(HEADER.split(","), map(list, zip(*ROWS, strict=True)), strict=True))


def text_of(rows: list[tuple], separator: str = ",", header: str = HEADER) -> str:
    lines = [separator.join(header.split(",")), *(separator.join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def json_of(rows: list[tuple]) -> str:
    return "".join(json.dumps(dict(zip(HEADER.split(","), row, strict=True))) + "\n" for row in rows)


def write(path: Path, rows: list[tuple] = ROWS) -> Path:
    """Write rows in the format that the path's name says."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        columns = dict(zip(HEADER.split(","), map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), path)
        return path
    text = (
        json_of(rows) if name.endswith(("jsonl", "ndjson")) else text_of(rows, "\t" if "tsv" in name else ",")
    )
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


NAMES = [
    "v.csv",
    "v.tsv",
    "v.jsonl",
    "v.ndjson",
    "v.parquet",
    "v.pq",
    "v.csv.gz",
    "v.tsv.gz",
    "v.jsonl.gz",
    "V.CSV",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_votes_of_the_table(name, tmp_path, assert_same, assert_sound):
    expected = read_votes(pd.DataFrame(TABLE))
    for source in (write(tmp_path / name), str(tmp_path / name), [tmp_path / name], tmp_path):
        prefs = read_votes(source)
        assert_sound(prefs)
        assert_same(prefs, expected)
        assert prefs.frame == "arrays"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
def test_several_files_are_read_as_one(kind, tmp_path, assert_same):
    expected = read_votes(pd.DataFrame(TABLE))
    write(tmp_path / f"day1.{kind}", ROWS[:2])
    write(tmp_path / f"day2.{kind}", ROWS[2:])
    (tmp_path / "README.txt").write_text("not votes")
    (tmp_path / f"_SUCCESS.{kind}").write_text("not votes either")
    both = [tmp_path / f"day1.{kind}", tmp_path / f"day2.{kind}"]
    for source in (
        both,
        both[::-1],
        tuple(both),
        tmp_path,
        f"{tmp_path}/day*.{kind}",
        f"{tmp_path}/**/day?.{kind}",
    ):
        assert_same(read_votes(source), expected)


def test_merging_files_is_reading_them_together(tmp_path, assert_same):
    first, second = write(tmp_path / "1.csv", ROWS[:3]), write(tmp_path / "2.csv", ROWS[3:])
    merged = read_votes(first, ties="half") + read_votes(second, ties="half")
    assert_same(merged, read_votes([first, second], ties="half"))


def test_files_may_differ_in_their_columns(tmp_path, assert_same):
    (tmp_path / "1.csv").write_text(text_of(ROWS[:2]))
    other = [(winner, "some text", b, a, user) for user, a, b, winner in ROWS[2:]]
    (tmp_path / "2.csv").write_text(text_of(other, ";", "vote,prompt,model_y,model_x,worker"))
    assert_same(read_votes(tmp_path), read_votes(pd.DataFrame(TABLE)))


def test_parquet_files_may_differ_in_their_types(tmp_path, assert_same):
    pq.write_table(
        pa.table({"user": [1], "model_a": ["x"], "model_b": ["y"], "winner": [True]}), tmp_path / "1.pq"
    )
    pq.write_table(
        pa.table({"user": ["u"], "model_a": ["x"], "model_b": ["y"], "winner": ["b"]}), tmp_path / "2.pq"
    )
    prefs = read_votes(tmp_path)
    assert prefs.users.tolist() == ["1", "u"]
    np.testing.assert_array_equal(prefs.counts, [[1, 0], [0, 1]])


def test_columns_can_be_told(tmp_path, assert_same):
    path = tmp_path / "v.csv"
    path.write_text(text_of(ROWS, header="who,first,second,said"))
    told = {"user": "who", "model_a": "first", "model_b": "second", "winner": "said"}
    assert_same(read_votes(path, **told), read_votes(pd.DataFrame(TABLE)))


CSV = {
    "byte order mark": "\ufeff" + text_of(ROWS),
    "carriage returns": text_of(ROWS).replace("\n", "\r\n"),
    "no last newline": text_of(ROWS).rstrip("\n"),
    "blank lines": text_of(ROWS).replace("\n2,", "\n\n2,") + "\n\n",
    "semicolons": text_of(ROWS, ";"),
    "tabs": text_of(ROWS, "\t"),
    "quotes": text_of([(f'"{user}"', f'"{a}"', b, f'"{won}"') for user, a, b, won in ROWS]),
    "texts": text_of(
        [(*row, f'"line {i},\n""quoted"", é, {"long " * 40_000}"') for i, row in enumerate(ROWS)],
        header=HEADER + ",text",
    ),
    "a nameless column": text_of([(i, *row) for i, row in enumerate(ROWS)], header="," + HEADER),
    "two columns of one name": text_of([(*row, "x", "y") for row in ROWS], header=HEADER + ",text,text"),
}


@pytest.mark.parametrize("dialect", list(CSV))
def test_dialects_of_csv(dialect, tmp_path, assert_same):
    path = tmp_path / "v.csv"
    path.write_bytes(CSV[dialect].encode())
    assert_same(read_votes(path), read_votes(pd.DataFrame(TABLE)))


def test_no_line_is_taken_for_a_comment_or_skipped(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(
        text_of([("#1", "x", "y", "a"), ("--x", "x", "y", "a"), ("N#", "x", "y", "a"), (4, "x", "y", "a")])
    )
    assert read_votes(path).users.tolist() == ["#1", "--x", "4", "N#"]


@pytest.mark.parametrize(
    "users, expected",
    [
        (["10", "9", "-1"], [-1, 9, 10]),
        (["10.0", "9.0", "-1.0"], [-1, 9, 10]),
        (["10", "9", "007"], ["007", "10", "9"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["10", "9", "9999999999999999999"], ["10", "9", "9999999999999999999"]),
    ],
)
def test_users_in_text_files_are_numbers_if_all_of_them_are(users, expected, tmp_path):
    for name in ("v.csv", "v.jsonl"):
        assert (
            read_votes(write(tmp_path / name, [(user, "x", "y", "a") for user in users])).users.tolist()
            == expected
        )


def test_text_in_a_parquet_file_stays_text(tmp_path):
    path = write(tmp_path / "v.parquet", [("10", "x", "y", "a"), ("9", "x", "y", "b")])
    assert read_votes(path).users.tolist() == ["10", "9"]


def test_json_values_of_every_type(tmp_path):
    lines = [
        '{"user": 1, "model_a": "x", "model_b": "y", "winner": true}',
        '{"winner": 0, "model_b": "y", "user": "u", "model_a": "x", "text": {"a": [1, 2]}}',
        '{"user": "u", "model_a": "x", "model_b": "y", "winner": "model_b"}',
    ]
    path = tmp_path / "v.jsonl"
    path.write_text("\n".join(lines))
    prefs = read_votes(path)
    assert prefs.users.tolist() == ["1", "u"]
    np.testing.assert_array_equal(prefs.counts, [[1, 0], [0, 2]])
    path.write_text(
        "\n".join([*lines, '{"user": 1, "model_a": "x", "model_b": "y"}', lines[0].replace("1", "null")])
    )
    with pytest.raises(VotesError, match="1 of 5 rows have no user, first at data row 5"):
        read_votes(path)


@pytest.mark.parametrize(
    "letters", ["a[1]b", "a*b?", "{a,b}", "it's", "back\\slash", "sp ace;", "$HOME", "é"]
)
def test_odd_names_of_files(letters, tmp_path, assert_same):
    expected = read_votes(pd.DataFrame(TABLE))
    assert_same(read_votes(write(tmp_path / f"{letters}.csv")), expected)
    folder = tmp_path / letters
    folder.mkdir()
    write(folder / "v.parquet")
    assert_same(read_votes(folder), expected)


def test_folders_in_a_path_are_no_columns(tmp_path, assert_same):
    folder = tmp_path / "user=7"
    folder.mkdir()
    assert_same(read_votes(write(folder / "v.parquet")), read_votes(pd.DataFrame(TABLE)))


def test_a_path_from_home(tmp_path, monkeypatch):
    write(tmp_path / "v.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_votes("~/v.csv").n_users == 3


# ---------------------------------------------------------------- what goes wrong


def message_of(source: object, **options: object) -> str:
    with pytest.raises(VotesError) as error:
        read_votes(source, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bad_rows_are_counted_over_all_files_and_the_first_is_named(tmp_path):
    missing = ("", "x", "y", "a")
    first = write(tmp_path / "1.csv", ROWS)
    second = write(tmp_path / "2.csv", [*ROWS[:3], missing, missing])
    third = write(tmp_path / "3.csv", [missing, *ROWS])
    assert message_of(second) == (
        "2 of 5 rows have no user, first at data row 4: fill them in, or leave those rows out"
    )
    assert message_of([first, second, third]) == (
        f"3 of 16 rows have no user, first at data row 4 of {second}: fill them in, or leave those rows out"
    )


@pytest.mark.parametrize("name", ["v.csv", "v.jsonl", "v.parquet"])
def test_words_that_are_not_understood(name, tmp_path):
    path = write(tmp_path / name, [*ROWS, (3, "new", "base", "meh"), (4, "new", "base", "older")])
    assert message_of(path).startswith(
        "2 of 7 rows have a winner that is not understood ('meh' 1, 'older' 1), first at data row 6: "
    )


def test_row_numbers_hold_in_large_files(tmp_path):
    rows = [(1, "x", "y", "a")] * 150_000
    rows[123_455] = rows[140_000] = ("", "x", "y", "a")
    for name in ("v.csv", "v.parquet"):
        typed = [(row[0] or None, *row[1:]) for row in rows] if name == "v.parquet" else rows
        assert "2 of 150,000 rows have no user, first at data row 123,456:" in message_of(
            write(tmp_path / name, typed)
        )


def test_a_missing_column_is_named_with_its_file(tmp_path):
    write(tmp_path / "1.csv")
    (tmp_path / "2.csv").write_text(text_of(ROWS, header="usr,model_a,model_b,winner"))
    message = message_of(tmp_path)
    assert message.startswith(
        "no column holds the user, the closest is 'usr': give user='COLUMN' (command line: --user"
    )
    assert message.endswith(f"(columns of {tmp_path}/2.csv: 'usr', 'model_a', 'model_b', 'winner')")


def test_files_that_are_not_there(tmp_path):
    write(tmp_path / "votes.csv")
    assert (
        message_of(tmp_path / "vote.csv") == f"there is no file {tmp_path}/vote.csv: did you mean votes.csv?"
    )
    assert message_of(tmp_path / "zzz") == f"there is no file {tmp_path}/zzz: check the path"
    assert message_of("/nowhere/at/all.csv") == "there is no file /nowhere/at/all.csv: check the path"
    assert message_of(f"{tmp_path}/*.parquet") == f"no file matches {tmp_path}/*.parquet: check the pattern"
    assert message_of([]) == "no file was given: give at least one"


def test_folders_and_names_that_say_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert message_of(tmp_path) == (
        f"the folder {tmp_path} holds no file of votes: they end in "
        ".csv, .tsv, .jsonl, .json (each also .gz) and .parquet"
    )
    assert message_of(tmp_path / "notes.txt").startswith(f"the format of {tmp_path}/notes.txt is not known")


def test_kinds_are_not_mixed(tmp_path):
    write(tmp_path / "1.csv")
    write(tmp_path / "2.parquet")
    assert message_of(tmp_path) == (
        "files of several formats (csv, parquet): read each format by itself, and add up with +"
    )


def test_a_file_does_not_count_twice(tmp_path):
    path = write(tmp_path / "1.csv")
    (tmp_path / "link.csv").symlink_to(path)
    assert message_of([path, f"{tmp_path}/1*"]) == (
        f"{path} is given twice, and its votes would count twice: give each file once"
    )
    assert message_of([path, tmp_path / "link.csv"]).startswith(f"{tmp_path}/link.csv is given twice")


def test_files_with_nothing_in_them(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text("")
    assert message_of(path) == f"{path} is empty (0 bytes): leave it out, or write it again"
    path.write_text(HEADER + "\n")
    assert message_of(path) == "there are no votes, only column names: give at least one row"
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in TABLE}), path)
    assert message_of(path) == "there are no votes, only column names: give at least one row"


def test_only_ties_in_a_file(tmp_path):
    path = write(tmp_path / "v.csv", [(1, "x", "y", "tie")])
    assert message_of(path).startswith(
        'all 1 votes are ties, and nothing is left when ties are dropped: ties="half"'
    )
    assert read_votes(path, ties="half").n_votes == 1


CLOSING = "; is it complete, and in the format that its name says?"


@pytest.mark.parametrize(
    "name, damage, reason",
    [
        ("v.parquet", lambda data: data[:-20], "No magic bytes found at end of file"),
        ("v.parquet", lambda data: data[:6], "too small to be a Parquet file"),
        ("v.parquet", lambda data: data[:4] + b"\xff" * (len(data) - 12) + data[-8:], ""),
        (
            "v.csv",
            lambda data: data + b"1,x,y\n",
            "CSV Error on Line: 7. Expected Number of Columns: 4 Found: 3",
        ),
        (
            "v.csv",
            lambda data: data + b"1,x,y,a,b\n",
            "CSV Error on Line: 7. Expected Number of Columns: 4 Found: 5",
        ),
        ("v.csv", lambda data: data + b'1,x,y,"a\n', "Value with unterminated quote found"),
        ("v.jsonl", lambda data: data[:-20], "Malformed JSON"),
        ("v.jsonl", lambda data: b"[" + data + b"]", ""),
        ("v.jsonl.gz", lambda data: data[:-20], ""),
        ("v.csv.gz", lambda data: gzip.compress(gzip.decompress(data) * 10_000)[:-400], ""),
        ("v.csv.gz", gzip.decompress, "Not a gzipped file"),
        ("v.csv.gz", lambda data: data[:12], ""),
    ],
)
def test_broken_files(name, damage, reason, tmp_path):
    path = write(tmp_path / name)
    path.write_bytes(damage(path.read_bytes()))
    message = message_of(path)
    assert message.startswith(f"cannot read {path}: ") and message.endswith(CLOSING)
    assert reason in message


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz"])
def test_lines_that_end_in_two_ways_are_named_with_the_remedy(name, tmp_path):
    text = text_of(ROWS).encode().replace(b"\n", b"\r\n").replace(b"\r\n", b"\n", 1)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    remedy = "make them alike, as dos2unix does"
    assert message_of(path) == f"some lines of {path} end in CRLF and others in LF: {remedy}"


SHAPES = {
    "cells": ("v.csv", text_of([*ROWS, (1, "x"), *ROWS, (1, "x", "y", "a", "b")]), "2 rows have", "line 7"),
    "cells below sep=": ("v.csv", "sep=;\n" + text_of([(1, "x"), *ROWS], ";"), "1 row has", "line 3"),
    "cells after tabs": ("v.tsv", text_of([*ROWS, (1, "x")], "\t"), "1 row has", "line 7"),
    "JSON": ("v.jsonl", json_of(ROWS[:2]) + "[1, 2]\n" + json_of(ROWS) + "3\nnull\n", "3 rows are", "row 3"),
    "one list": ("v.jsonl", json.dumps([{"user": 1}]) + "\n", "1 row is", "row 1"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("what", list(SHAPES))
def test_rows_of_another_shape_are_counted_and_the_first_is_named(what, encoding, tmp_path):
    name, text, count, first = SHAPES[what]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    message = message_of(path)
    assert message.startswith(f"cannot read {path}: ") and message.endswith(CLOSING)
    assert f"({count} " in message and f"first at {first})" in message
    with pytest.raises(VotesError, match=re.escape(f"({count} ")):
        aggregate(path, tmp_path / "out", shards=1)


def test_a_broken_file_among_others_is_named(tmp_path):
    write(tmp_path / "1.parquet")
    broken = write(tmp_path / "2.parquet")
    broken.write_bytes(broken.read_bytes()[:-20])
    assert message_of(tmp_path).startswith(f"cannot read {broken}: ")


def test_text_in_another_encoding(tmp_path):
    """At the top, where the names of the columns are read, or thousands of lines below."""
    rows, many = [("José", "x", "y", "a")], [("José", "x", "y", "a")] * 9999
    remedy = (
        "say which encoding it is in, as in encoding='windows-1252' (command line: --encoding windows-1252), "
        "or save it as UTF-8 (in Excel: Save As, CSV UTF-8)"
    )
    late = text_of(ROWS * 2000).encode() + b"1,x\xff,y,a\n"
    for data, line in (
        (text_of(rows).encode("cp1252"), " (line 2)"),
        (text_of(rows, header="user,model_a,model_b,préféré").encode("cp1252"), ""),
        (late, " (line 10,002)"),
    ):
        path = tmp_path / "v.csv"
        path.write_bytes(data)
        assert message_of(path) == f"{path} is not UTF-8 text{line}: {remedy}"
    path = write(tmp_path / "v.jsonl", many)
    path.write_bytes(path.read_bytes() + path.read_bytes().replace(b"Jos", b"Jos\xe9"))
    assert message_of(path) == f"{path} is not UTF-8 text: {remedy}"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write(tmp_path / "v.csv")
    path.chmod(0)
    assert message_of(path).startswith(f"cannot read {path}: ")


def test_memory_limits(tmp_path):
    path = write(tmp_path / "v.parquet")
    assert read_votes(path, memory_limit="100MB").n_users == 3
    assert message_of(path, memory_limit="lots") == (
        "cannot use memory_limit='lots': Memory must have a number (e.g. 1GB)"
    )
    large = write(tmp_path / "large.parquet", [(user, "x", "y", "a") for user in range(20_000)])
    assert message_of(large, memory_limit="1MB").startswith("the votes do not fit into memory (")


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    read_votes(write(tmp_path / "v.csv"), memory_limit="100MB")
    with pytest.raises(VotesError):
        read_votes(write(tmp_path / "v.csv", [(1, "x", "x", "a")]))
    assert list(here.iterdir()) == list(temporary.iterdir()) == []


# ---------------------------------------------------------------- real votes


def test_the_crowds_votes(real_votes, assert_same, assert_sound):
    path = real_votes / "crowd-comparisons.csv"
    prefs = read_votes(path)
    assert_sound(prefs)
    assert prefs.n_users == 124 and prefs.models.size == 59
    assert prefs.n_votes == 8931 - 3471 and prefs.left_out == (("ties dropped", 3471.0),)
    frame = pd.read_csv(path)
    assert_same(prefs, read_votes(frame))
    assert read_votes(path, ties="half").n_votes == 8931
    by_worker = frame[frame["winner"] != "tie"].groupby("worker").size()
    np.testing.assert_array_equal(prefs.users, by_worker.index)
    np.testing.assert_array_equal(prefs.votes_by_user(), by_worker)
    # who beat whom, counted apart from all of the package: left is model_x
    decided = frame[frame["winner"] != "tie"]
    left = decided["winner"] == "left"
    winner, loser = (decided["model_x"].where(mask, decided["model_y"]).astype(str) for mask in (left, ~left))
    beaten = (
        decided.assign(winner=winner, loser=loser).groupby(["worker", "winner", "loser"]).size().to_dict()
    )
    read = {}
    for user, comparison, (for_a, for_b) in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
        model_a, model_b = prefs.comparisons[comparison]
        read |= {(prefs.users[user], model_a, model_b): for_a, (prefs.users[user], model_b, model_a): for_b}
    assert {key: votes for key, votes in read.items() if votes} == beaten
