"""Small files in the formats of other tools, as a person gives them to the command line.

The inputs lie beside the repository where they are there at all; the kinds that they are examples of are in
`tests/data/test_every_source.py`, `tests/data/test_read_files.py` and `tests/data/test_texts.py`.
"""

import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax


@pytest.fixture(scope="module")
def cases(root) -> Path:
    folder = root.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("the cases (shared/cases) are not beside this checkout")
    return folder


SPLIT = "180 votes of 20 users in 3 comparisons of 3 models"
MTURK = ("--model-a", "Input.model_a", "--model-b", "Input.model_b", "--winner", "Answer.choice")
QUESTION = ("--winner", "Which one, A, B, or neither, is better?")
# A file, options, and what the first line says.
READ = [
    ("02-numbered-models-float-winner/votes_float.csv", (), "300 votes"),
    ("03-onehot-winner/votes.csv", (), "212 votes of 20 users in 3 comparisons of 3 models"),
    ("13-twelve-and-twelve-point-zero/numbers.csv", (), SPLIT),
    ("13-twelve-and-twelve-point-zero/mixed.csv", (), "180 votes of 21 users in 3 comparisons of 3 models"),
    ("15-comparia/votes.csv", (), "135 votes"),
    ("16-battles-with-itself/votes.csv", (), "177 votes of 20 users in 3 comparisons of 3 models"),
    ("17-excel/bom_crlf.csv", (), SPLIT),
    ("17-excel/semicolons.csv", (), SPLIT),
    ("17-excel/trailing.csv", (), SPLIT),
    ("17-excel/sep_line.csv", (), SPLIT),
    ("17-excel/commas_in_header.csv", QUESTION, SPLIT),
    ("17-excel/utf16.csv", (), SPLIT),
    ("18-undefeated/votes.csv", (), SPLIT),
    ("21-spaces-in-names/votes.csv", (), SPLIT),
    ("22-words-of-other-tools/mt_bench.csv", (), "144 votes"),
    ("22-words-of-other-tools/fastchat_log.csv", (), "144 votes"),
    ("22-words-of-other-tools/arena_hard.csv", (), "144 votes"),
    ("23-dots-in-names/votes.csv", MTURK, SPLIT),
    ("23-dots-in-names/votes.parquet", MTURK, SPLIT),
    ("23-dots-in-names/votes.jsonl", MTURK, SPLIT),
]
REFUSED = [
    ("01-judge-is-a-list/votes.parquet", (), "column 'judge'"),
    ("01-judge-is-a-list/votes.jsonl", (), "column 'judge'"),
    ("11-anonymous-users/nan.csv", (), "60 of 180 rows have no user"),
    ("16-battles-with-itself/votes.csv", ("--strict",), "3 of 180 rows compare a model with itself"),
    ("22-words-of-other-tools/alpaca_eval.csv", (), "104 of 180 rows have a winner that is not understood"),
    ("22-words-of-other-tools/helpsteer.csv", (), "144 of 180 rows have a winner that is not understood"),
]
FILTERED = (
    "10-jsonl-dates-and-ids/day.jsonl",
    "10-jsonl-dates-and-ids/at.jsonl",
    "10-jsonl-dates-and-ids/ids.jsonl",
    "23-dots-in-names/other.parquet",
)


@pytest.mark.parametrize(("file", "options", "says"), READ)
def test_a_file_is_read(cases, tmp_path, file, options, says):
    found = emjax_cli("check", cases / file, *options, cwd=tmp_path)
    assert "problem:" not in found.stdout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)  # of names that are written in several ways
        assert repr(emjax.read_votes(cases / file, **_python(options))).startswith(f"Preferences: {says}")


@pytest.mark.parametrize(("file", "options", "says"), REFUSED)
def test_a_file_is_refused_in_one_line(cases, tmp_path, file, options, says):
    path = cases / file
    if file.endswith("nan.csv"):
        path = tmp_path / "nan.csv"
        text = (cases / "11-anonymous-users" / "votes.csv").read_text(encoding="utf-8")
        path.write_text(text.replace("\n?,", "\nnan,"), encoding="utf-8")
    found = emjax_cli("fit", path, *options, "--out", "out", cwd=tmp_path, code=1)
    assert says in " ".join(found.stderr.split()) and "Traceback" not in found.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", FILTERED)
def test_what_fit_reads_filter_reads(cases, tmp_path, file):
    emjax_cli("fit", cases / file, "--out", "fitted", cwd=tmp_path)
    emjax_cli("filter", cases / file, "--fit", "fitted", "--policy", "weights", "--out", "kept", cwd=tmp_path)
    assert pq.read_metadata(tmp_path / "kept" / "votes.parquet").num_rows


# A file with texts, and what the filter says where it refuses them; nothing where it makes pairs.
TEXTS = [
    ("06-tool-calls/both.parquet", "tool_calls"),
    ("06-tool-calls/one.parquet", "tool_calls"),
    ("08-empty-answers/votes.csv", "kept votes have no answer of model"),
    ("08-empty-answers/votes.jsonl", "kept votes have no answer of model"),
]


@pytest.mark.parametrize(("file", "says"), TEXTS)
def test_texts_that_cannot_be_kept_are_refused_by_name_and_count(cases, tmp_path, file, says):
    emjax_cli("fit", cases / file, "--out", "fitted", cwd=tmp_path)
    asked = ("filter", cases / file, "--fit", "fitted", "--policy", "weights", "--out", "kept")
    found = emjax_cli(*asked, cwd=tmp_path, code=1)
    assert says in " ".join(found.stderr.split()) and "Traceback" not in found.stderr
    assert not (tmp_path / "kept").exists()


def test_text_parts_become_text(cases, tmp_path):
    file = cases / "07-content-parts" / "votes.parquet"
    emjax_cli("fit", file, "--out", "fitted", cwd=tmp_path)
    emjax_cli("filter", file, "--fit", "fitted", "--policy", "weights", "--out", "kept", cwd=tmp_path)
    pairs = pq.read_table(tmp_path / "kept" / "dpo" / "train.parquet").select(
        ["prompt", "chosen", "rejected"]
    )
    said = [message["content"] for row in pairs.to_pylist() for held in row.values() for message in held]
    assert len(said) == 3 * len(pairs) and not any("type" in text or text[:1] in "[{" for text in said)


def test_groups_that_never_met_are_named(cases, tmp_path):
    file = cases / "19-two-islands" / "votes.csv"
    assert "groups that never met" in emjax_cli("check", file, cwd=tmp_path).stdout
    emjax_cli("fit", file, "--out", "fitted", cwd=tmp_path)
    board = pq.read_table(tmp_path / "fitted" / "leaderboard.parquet")
    assert set(board["component"].to_pylist()) == {1, 2} and board["rank"].to_pylist().count(1) == 2


def test_the_weight_of_one_user_is_said(cases, tmp_path):
    file = cases / "14-one-bot" / "votes.csv"
    said = emjax_cli("check", file, cwd=tmp_path).stdout
    assert "User 999 cast" in " ".join(said.split())


def test_ids_keep_their_spelling(cases, tmp_path):
    file = cases / "10-jsonl-dates-and-ids" / "ids.jsonl"
    emjax_cli("fit", file, "--out", "fitted", cwd=tmp_path)
    emjax_cli("filter", file, "--fit", "fitted", "--policy", "weights", "--out", "kept", cwd=tmp_path)
    ids = pq.read_table(tmp_path / "kept" / "votes.parquet")["id"].to_pylist()
    assert ids[0] == "BBD05AE7-0000-4000-8000-000000000000"


def _python(options: tuple[str, ...]) -> dict[str, str]:
    names = [option.removeprefix("--").replace("-", "_") for option in options[::2]]
    return dict(zip(names, options[1::2], strict=True))
