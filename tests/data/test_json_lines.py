"""JSON lines and parquet: what no role uses comes out as it went in; lists are no names, in one line."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emjax.data import read_votes
from emjax.data.aggregate import aggregate
from emjax.data.read_files import opened
from emjax.errors import VotesError

NAMES = ("user", "model_a", "model_b", "winner")
TOLD: dict[str, str | None] = dict.fromkeys(NAMES)
VOTE = {"user": 1, "model_a": "x", "model_b": "y", "winner": "a"}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(VOTE | row) + "\n" for row in rows))
    return path


def column(path: Path, name: str) -> list[Any]:
    """A column as it comes out, behind votes that can be counted."""
    read_votes(path)
    with opened(path, TOLD, None) as files:
        names, rows = files.whole_rows()
        return rows.select(f"c{names.index(name)}").to_arrow_table().column(0).to_pylist()


AS_THEY_ARE = {
    "dates, day first": ["01-05-2024", "25-11-2025"],
    "dates and other text": ["2024-01-01", "soon"],
    "times": ["10:00:00", "10:00"],
    "points in time": ["2024-01-01T00:00:00Z", "01-05-2024 10:00:00"],
    "ids in capitals": ["BBD05AE7-0000-4000-8000-000000000000", None],
    "digits": ["007", "12"],
    "words for truth": ["true", "null"],
    "lists of dates": [["2024-01-01", "01-05-2024"], []],
    "objects with dates": [
        {"on": "2024-01-01", "id": "BBD05AE7-0000-4000-8000-000000000000"},
        {"on": "x", "id": "y"},
    ],
    "messages": [[{"role": "user", "content": "2024-01-01"}], [{"role": "assistant", "content": "10:00"}]],
    "whole numbers": [5, -3, 2**62],
    "numbers": [1.5, 2, None],
    "truths": [True, False],
    "whole numbers beyond floats, as text": ["9007199254740993.5", "9007199254740993"],
    "nothing": [None, None],
}
# Where rows differ in type, text stays as it is, and all else is JSON.
AS_TEXT = {
    "text and numbers": (["x", 1, 1.5, True], ["x", "1", "1.5", "true"]),
    "text, lists and objects": (["x", [1, "é"], {"k": "10:00"}], ["x", '[1,"é"]', '{"k":"10:00"}']),
    "numbers beyond 64 bits": ([2**70, -(2**70), 1], [str(2**70), str(-(2**70)), "1"]),
    "whole numbers among others that would be rounded": ([2**53 + 1, 1.5], [str(2**53 + 1), "1.5"]),
    "keys that differ in their case": ([{"A": 1, "a": "x"}], ['{"A":1,"a":"x"}']),
    "no keys": ([{}, {}], ["{}", "{}"]),
    "an empty key": ([{"": 1}], ['{"":1}']),
    "very many keys": ([{f"k{i}": i} for i in range(300)], [f'{{"k{i}":{i}}}' for i in range(300)]),
}


@pytest.mark.parametrize("what", list(AS_THEY_ARE))
def test_columns_come_out_as_they_went_in(what, tmp_path):
    values = AS_THEY_ARE[what]
    assert column(lines(tmp_path / "v.jsonl", [{"more": value} for value in values]), "more") == values


@pytest.mark.parametrize("what", list(AS_TEXT))
def test_columns_of_several_types_come_out_as_text(what, tmp_path):
    values, expected = AS_TEXT[what]
    assert column(lines(tmp_path / "v.jsonl", [{"more": value} for value in values]), "more") == expected


ODD_NAMES = ("meta.lang", 'a"b', "it's", "a/b~c", "user.winner", "", "USER NAME", "Ä")


@pytest.mark.parametrize("name", ["v.jsonl", "v.parquet", "v.csv"])
def test_names_with_dots_and_quotes(name, tmp_path):
    path = tmp_path / name
    row = VOTE | {odd: f"{number} th" for number, odd in enumerate(ODD_NAMES)}
    if name == "v.jsonl":
        lines(path, [row])
    elif name == "v.parquet":
        pq.write_table(pa.table({key: [value] for key, value in row.items()}), path)
    else:
        quoted = (
            ['"' + str(cell).replace('"', '""') + '"' for cell in cells] for cells in (row, row.values())
        )
        path.write_text("\n".join(map(",".join, quoted)))
    for number, odd in enumerate(ODD_NAMES):
        assert column(path, odd) == [f"{number} th"]
    told = {"user": "meta.lang", "model_a": 'a"b', "model_b": "it's", "context": "a/b~c"}
    prefs = read_votes(path, **told)
    assert prefs.users.tolist() == ["0 th"] and prefs.comparisons.tolist() == [["1 th", "2 th"]]
    assert prefs.contexts is not None and prefs.contexts.tolist() == ["3 th"]


def test_keys_that_differ_in_their_case_are_two_columns(tmp_path):
    path = lines(tmp_path / "v.jsonl", [{"note": "a", "Note": "b"}, {"Note": "c"}])
    assert column(path, "note") == ["a", None] and column(path, "Note") == ["b", "c"]
    with opened(path, TOLD | {"user": "Note", "context": "note"}, None) as files:
        assert files.rows().fetchall() == [("b", "x", "y", "a", "a"), ("c", "x", "y", "a", None)]


def test_what_is_asked_for_may_come_late(tmp_path):
    path = lines(tmp_path / "v.jsonl", [{}] * 20_500 + [{"gold": "x", "more": "2024-01-01"}])
    assert read_votes(path, gold="gold").n_votes == 20_500
    assert column(path, "more")[-1] == "2024-01-01"


def test_a_key_that_occurs_twice_harms_no_other(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text(json.dumps(VOTE)[:-1] + ', "more": 1, "more": 2}\n')
    assert column(path, "user") == [1]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_files_may_differ_in_the_types_of_what_no_role_uses(kind, tmp_path):
    different = ("text", 1.5, {"a": 1}, [1], True, ["x"])
    for number, value in enumerate(different):
        path, row = tmp_path / f"{number}.{kind}", VOTE | {"more": value, f"only {number}": 1}
        lines(path, [row]) if kind == "jsonl" else pq.write_table(pa.Table.from_pylist([row]), path)
    assert column(tmp_path, "more") == ["text", "1.5", '{"a":1}', "[1]", "true", '["x"]'] or kind == "parquet"
    assert column(tmp_path, "more")[0] == "text" and column(tmp_path, "only 2").count(1) == 1


def test_parquet_files_may_differ_in_the_fields_of_messages(tmp_path):
    for number, extra in enumerate(({}, {"name": "x"})):
        row = VOTE | {"more": [{"role": "user", "content": "hi"} | extra]}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"{number}.parquet")
    more = column(tmp_path, "more")
    assert [message[0]["content"] for message in more] == ["hi", "hi"]


ROLES = ("user", "model_a", "winner", "shown_first", "context", "gold")
NESTED = {"lists": ["a", "b"], "structs": {"id": "a"}}


@pytest.mark.parametrize("what", list(NESTED))
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_columns_of_lists_and_structs_are_refused_in_one_line(kind, role, what, tmp_path):
    path, key = tmp_path / f"v.{kind}", f"the {role}"
    row = {key if name == role else name: value for name, value in VOTE.items()} | {key: NESTED[what]}
    if kind == "jsonl":
        plain = row | {key: "x"}  # where only a later row holds one
        path.write_text("".join(json.dumps(each) + "\n" for each in (plain, row)))
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    expected = f"column '{key}' holds {what}, which are no names: name a column of text or numbers"
    for use in (read_votes, lambda source, **told: aggregate(source, tmp_path / "out", shards=1, **told)):
        with pytest.raises(VotesError) as error:
            use(path, **{role: key})
        assert str(error.value) == expected


def test_text_that_looks_like_a_list_is_text(tmp_path):
    path = lines(
        tmp_path / "v.jsonl", [{"user": "[1]", "winner": "[[A]]"}, {"user": '{"a"', "winner": "[[B]]"}]
    )
    assert sorted(read_votes(path).users) == ["[1]", '{"a"']


KINDS = {
    "uuid()": None,
    "'101'::BIT": "101",
    "'12345678901234567890123'::DECIMAL(38,0)": "12345678901234567890123",
    "DATE '2024-05-01'": "2024-05-01",
    "TIME '10:00'": "10:00:00",
    "INTERVAL 1 DAY": "1 day",
    "'a'::ENUM('a', 'b')": "a",
    "'\"a\"'::JSON": "a",
    "18446744073709551615::UBIGINT": "18446744073709551615",
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_types_that_arrays_lack_are_exact(kind, tmp_path):
    path = tmp_path / "v.parquet"
    duckdb.sql(f"SELECT {kind} AS user, 'x' AS model_a, 'y' AS model_b, 'a' AS winner").write_parquet(
        str(path)
    )
    written = KINDS[kind] or duckdb.sql(f"SELECT user::VARCHAR FROM '{path}'").fetchall()[0][0]
    assert list(map(str, read_votes(path).users)) == [written]


def test_files_whose_users_are_of_several_types(tmp_path):
    """Whole numbers with and without a sign are together of a type that no array has."""
    for number, (user, kind) in enumerate(((2**63 + 5, pa.uint64()), (-7, pa.int64()))):
        columns = {name: [value] for name, value in VOTE.items()} | {"user": pa.array([user], kind)}
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    assert sorted(map(str, read_votes(tmp_path).users)) == ["-7", str(2**63 + 5)]


def test_two_columns_of_one_name_matter_where_they_are_needed(tmp_path):
    path, values = tmp_path / "v.parquet", [pa.array([value]) for value in (*VOTE.values(), "x", "y")]
    pq.write_table(pa.Table.from_arrays(values, names=[*NAMES, "note", "note"]), path)
    assert column(path, "note") == ["x"] and column(path, "note_1") == ["y"]
    pq.write_table(pa.Table.from_arrays(values, names=[*NAMES, "winner", "note"]), path)
    with pytest.raises(VotesError, match=r"^the winner could be any of 'winner', 'winner'"):
        read_votes(path)
