"""What the real command refuses, in one line and leaving nothing behind; what it warns of; how it stops."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import EMJAX, emjax_cli, environment, scratch

HEADER = "user,model_a,model_b,winner\n"
GOOD = [f"u{i},A,B,{'model_a' if (i + j) % 3 else 'model_b'}\n" for i in range(5) for j in range(4)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with votes that cannot be used, and places that cannot be written to."""
    place = tmp_path_factory.mktemp("place") / "work"
    place.mkdir()
    texts = {
        "good": GOOD, "no-user": [*GOOD, ",A,B,model_a\n", ",A,B,model_a\n"],
        "words": [*GOOD, "u1,A,B,dunno\n", "u1,A,B,skip\n", "u1,A,B,skip\n"],
        "itself": [*GOOD, "u1,A,A,model_a\n"], "header": [], "ties": ["u1,A,B,tie\n", "u2,A,B,tie\n"],
        "one-user": ["u,A,B,model_a\n"] * 8 + ["u,A,B,model_b\n"] * 4,
        "one-vote": [f"u{i},A,B,model_{'aab'[i % 3]}\n" for i in range(12)],
        "pieces": [
            f"u{i},{pair},model_{'aaab'[(i + k) % 4]}\n"
            for i in range(8) for k in range(4) for pair in ("A,B", "C,D")
        ],
        "shuffled": [*GOOD, *(f"u{i},B,A,model_b\n" for i in range(5))],
    }  # fmt: skip
    for name, rows in texts.items():
        (place / f"{name}.csv").write_text(HEADER + "".join(rows))
    (place / "misnamed.csv").write_text(HEADER.replace("user", "usr") + "".join(GOOD))
    (place / "empty.csv").touch()
    columns = {"model_a": ["A"] * 4, "model_b": ["B"] * 4, "winner": ["model_a"] * 4}
    pq.write_table(pa.table({"user": [1.0, float("nan"), None, 2.0]} | columns), place / "nan.parquet")
    whole = (place / "nan.parquet").read_bytes()
    (place / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (place / "text").write_text("no folder")
    for folder, held in (("bare", "notes.txt"), ("fitted", "fit.json"), ("own", "users.parquet")):
        (place / folder).mkdir()
        (place / folder / held).write_text('{"format": "emjax-fit"}')
    return place


@pytest.fixture(scope="module")
def refused(place) -> Callable[..., str]:
    """Run a command that must fail; gives its line on standard error."""

    def run(*words: str) -> str:
        before = state(place)
        done = emjax_cli(*words, cwd=place, code=1)
        assert done.stdout == ""
        assert state(place) == before, "something was left behind"
        assert done.stderr.startswith("error: ") and done.stderr.endswith("\n")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return run


def state(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("votes", "line"),
    [
        ("misnamed.csv", "the closest is 'usr': give --user COLUMN (columns: 'usr', 'model_a'"),
        ("good.csv --winner winer", "no column 'winer', the closest is 'winner': give --winner COLUMN"),
        ("no-user.csv", "2 of 22 rows have no user, first at data row 21"),
        ("nan.parquet", "2 of 4 rows have no user, first at data row 2"),
        ("words.csv", "3 of 23 rows have a winner that is not understood ('skip' 2, 'dunno' 1), first at"),
        ("words.csv", "draw, same, equal, both good, both bad, both, neither, no preference or 0.5 for a"),
        ("itself.csv --strict", "1 of 21 rows compare a model with itself ('A'), first at data row 21"),
        ("itself.csv --strict", "leave those rows out, or leave --strict out"),
        ("empty.csv", "empty.csv is empty (0 bytes)"),
        ("header.csv", "there are no votes, only column names"),
        ("ties.csv", "all 2 votes are ties, and nothing is left when ties are dropped: --ties half counts"),
        ("cut.parquet", "cannot read cut.parquet"),
        ("bare", "the folder bare holds no file of votes"),
        ("god.csv", "there is no file god.csv: did you mean good.csv?"),
        ("g*.tsv", "no file matches g*.tsv"),
        ("good.csv nan.parquet", "files of several formats (csv, parquet): write them in one format"),
        ("good.csv --out text", "text is a file, not a folder: give another folder."),
        ("good.csv --out text/below", "is a file, not a folder: give another folder."),
        ("good.csv --out bare", "bare holds other files: give a new folder, or --overwrite (they would"),
        ("good.csv --out own", "own holds users.parquet, which no fit wrote, judging by the content: give a"),
        ("good.csv --overwrite --out own", "or move it away."),
        ("good.csv --out fitted", "fitted holds another fit: give a new folder, or --overwrite to replace"),
        ("misnamed.csv --out new/newer", "the closest is 'usr'"),
        ("good.csv --strength known:0.5", "--strength known:0.5: A known strength of 1/2 means"),
        ("good.csv --strength known:1.2", "strictly between 0 and 1; got 1.2."),
        ("good.csv --strength known:abc", "--strength known:abc: 'abc' is not a number."),
        ("good.csv --strength strong", "--strength strong is not understood: give auto, bradley-terry,"),
        ("good.csv --prior normal", "--prior normal is not understood: give grid, grid:G, beta, two-"),
        ("good.csv --prior points:0", "--prior points:0: points:K needs a whole number K >= 1; got 0."),
        ("good.csv --prior points:many", "'many' is not a whole number."),
        ("good.csv --prior grid:1", "--prior grid:1: grid:G needs at least two points; got 1."),
        ("good.csv --ties split", "--ties split is not understood: give drop, half, model or rao-kupper."),
        ("good.csv --tol -1", "--tol -1 is not allowed: give a number above 0"),
        ("good.csv --tol nan", "--tol nan is not allowed: give a number above 0"),
        ("good.csv --max-steps 0", "--max-steps 0 is too few"),
        ("good.csv --covariates length", "'length': give --vote-features COLUMNS or --covariates COLUMNS"),
        ("good.csv --vote-features seconds", "'seconds': give --vote-features COLUMNS or --covariates"),
        ("good.csv --covariates winner,winner", "--covariates names 'winner' more than once"),
        ("good.csv --covariates shown_first", "say which answer was first with --shown-first COLUMN"),
        ("good.csv --context c --strength shared --covariates x", "leave --context and --item out"),
        ("good.csv --scale glicko", "--scale glicko is not understood: give log-odds, elo, win-rate."),
        ("good.csv --separator ;;", "--separator ';;' cannot be used: give one character"),
        ("good.csv --encoding latin-x", "--encoding 'latin-x' is not known: give one such as"),
        ("good.csv --item item --gold item", "there is no column 'item': give --item COLUMN"),
    ],
)  # fmt: skip
def test_fit_refuses(refused, votes: str, line: str):
    words = votes.split()
    assert line in refused("fit", *words, *([] if "--out" in words else ["--out", "new"]))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("simulate --out votes.txt", "votes.txt should end in .parquet or .csv."),
        ("simulate --out good.csv", "good.csv is there already: give another name, or --overwrite."),
        ("simulate --out text/votes.csv", "text is a file, not a folder"),
        ("simulate --out v.csv --votes-per-user 0", "--votes-per-user 0 cannot be: give a number above 0"),
        ("simulate --out v.csv --votes-per-user nan", "--votes-per-user nan cannot be"),
        ("simulate --out v.csv --models 3 --strength 0.7", "--strength is for two models"),
        ("simulate --out v.csv --strength 1.5", "a strength between 0 and 1; got 1.5."),
        ("simulate --out v.csv --prior beta:3", "--prior beta:3 is not understood: give beta:3,5 or"),
        ("simulate --out v.csv --prior beta:0,1", "--prior beta:0,1: beta:A,B needs A and B between"),
        ("report nowhere", "There is no folder nowhere. Fit again with"),
        ("report bare", "bare holds no fit.json"),
        ("report fitted", "has version None of the format"),
        ("demo --out bare", "bare holds other files"),
    ],
)  # fmt: skip
def test_other_commands_refuse(refused, command: str, line: str):
    assert line in refused(*command.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_written_to_is_refused(refused, place):
    (place / "closed").mkdir(mode=0o500)
    assert "closed cannot be written (Permission denied)" in refused("fit", "good.csv", "--out", "closed")


def test_usage_errors_are_typer_s_own(place):
    assert "Missing option '--out'" in emjax_cli("fit", "good.csv", cwd=place, code=2).stderr


@pytest.mark.parametrize(
    ("votes", "options", "line"),
    [
        ("one-user", [], "There is one user"),
        ("one-vote", [], "No user has more than one vote"),
        ("pieces", [], "The comparisons fall into 2 connected components that share no model (A, B; C, D)"),
        ("good", ["--max-steps", "1", "--tol", "1e-300"], "raise --max-steps."),
        (
            "shuffled",
            ["--strength", "known:0.74"],
            "read as: an attentive user prefers 'A' to 'B' that often.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else None,
)
def test_warnings_come_with_a_result(place, votes: str, options: list[str], line: str):
    out = place / f"fit of {votes}"
    done = emjax_cli("fit", f"{votes}.csv", *options, "--out", out, cwd=place)
    assert re.fullmatch(r"warning: .+\n", done.stderr)
    assert line in done.stderr
    assert line not in done.stdout  # once is enough
    assert (out / "report.html").exists()


def test_overwriting_replaces_a_fit_and_spares_other_files(place):
    folder = place / "old"
    folder.mkdir()
    (folder / "notes.txt").write_text("{}")
    three = "".join(row.replace("B", "C") + row for row in GOOD)
    (place / "three.csv").write_text(HEADER + three + three.replace("A,C", "B,C"))
    emjax_cli("fit", "three.csv", "--overwrite", "--out", "old", cwd=place)
    (folder / "truth.json").write_text("{}")
    assert (folder / "leaderboard.parquet").exists()
    emjax_cli("fit", "good.csv", "--strength", "known:0.8", "--overwrite", "--out", "old", cwd=place)
    assert sorted(os.listdir(folder)) == [
        "comparisons.parquet", "curvature.npz", "fit.json", "history.parquet", "notes.txt", "report.html",
        "users.parquet",
    ]  # fmt: skip
    assert json.loads((folder / "fit.json").read_text())["strength"]["type"] == "Known"
    assert (folder / "notes.txt").read_text() == "{}"


def test_ctrl_c_leaves_one_line_and_nothing_else(place):
    before = state(place)
    python, *words = EMJAX
    # Unbuffered, so that the first line is here while the fit still runs.
    command = [python, "-u", *words, "fit", "pieces.csv", "--out", "stopped"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place, env=environment()
    ) as process:
        assert process.stdout is not None
        read = next(line for line in process.stdout if not line.startswith(("columns: ", "winners: ")))
        assert read.startswith("Preferences: ")
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (130, "interrupted\n")
    assert time.perf_counter() - start < 10
    assert state(place) == before
    assert os.listdir(scratch()) == []


def test_a_reader_who_has_had_enough_hears_no_complaint(place):
    command = [*EMJAX, "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
