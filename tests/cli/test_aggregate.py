"""emjax aggregate and emjax fit of what it writes, as a person at a terminal runs them."""

import json
import os
import pty
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import EMJAX, emjax_cli, environment
from vote_files import drawn, write


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "votes").mkdir()
    for number in range(3):
        write(folder / "votes" / f"{number}.parquet", drawn(number, 600, users=60))
    return folder


@pytest.fixture(scope="module")
def run(place):
    """Run a command in that folder; it must end with the exit code that is expected."""
    return partial(emjax_cli, cwd=place)


@pytest.fixture(scope="module")
def shards(run, place) -> Path:
    """The folder that emjax aggregate writes."""
    done = run("aggregate", "votes", "--shards", 3, "--memory-limit", "200MB", "--out", "shards")
    rows = [row for number in range(3) for row in drawn(number, 600, users=60)]
    ties = sum(word == "tie" for *_, word in rows)
    assert done.stdout.splitlines()[:2] == [
        f"Shards: {len(rows) - ties:,} votes of 60 users in 6 comparisons, in 3 files",
        f"  left out: ties dropped, {ties}",
    ]
    assert done.stdout.splitlines()[-1] == "Written to shards: emjax fit shards --out DIR"
    assert done.stderr == ""
    return place / "shards"


def test_a_fit_of_shards_is_a_fit_of_their_votes(run, place, shards):
    run("fit", "shards", "--prior", "two-point", "--out", "of-shards")
    run("fit", "votes", "--prior", "two-point", "--out", "of-votes")
    one, other = (place / name for name in ("of-shards", "of-votes"))
    names = [{path.name for path in folder.iterdir()} for folder in (one, other)]
    assert names[1] - names[0] == {"history.parquet"} and names[0] < names[1]
    fits = [json.loads((folder / "fit.json").read_text(encoding="utf-8")) for folder in (one, other)]
    assert fits[0]["data"] == fits[1]["data"]
    assert fits[0]["log_likelihood"] == pytest.approx(fits[1]["log_likelihood"], rel=1e-9)
    for name, key in (("users", "user"), ("comparisons", "model_a"), ("leaderboard", "model")):
        mine, yours = (pq.read_table(folder / f"{name}.parquet") for folder in (one, other))
        assert mine.schema == yours.schema
        order = [(key, "ascending")] + [("model_b", "ascending")] * (name == "comparisons")
        mine, yours = mine.sort_by(order).to_pandas(), yours.sort_by(order).to_pandas()
        assert mine[key].tolist() == yours[key].tolist()
        numbers = mine.select_dtypes("number").columns
        np.testing.assert_allclose(mine[numbers], yours[numbers], rtol=1e-4, atol=1e-5)


def test_the_same_command_once_more_changes_nothing(run, shards):
    before = {path.name: path.stat().st_mtime_ns for path in shards.iterdir()}
    run("aggregate", "votes", "--out", "shards")
    assert {path.name: path.stat().st_mtime_ns for path in shards.iterdir()} == before


def test_refusals_in_the_words_of_the_command_line(run, place, shards):
    def refused(*words):
        return run(*words, code=1).stderr

    assert refused("fit", "shards", "votes", "--out", "x") == (
        "error: shards holds aggregated votes, which are fitted alone: give nothing else.\n"
    )
    for option in (("--ties", "half"), ("--user", "user")):
        assert refused("fit", "shards", *option, "--out", "x") == (
            "error: shards holds aggregated votes: --ties and columns were settled by emjax aggregate.\n"
        )
    assert refused("aggregate", "votes", "--ties", "keep", "--out", "x") == (
        "error: --ties keep is not understood: give drop, half, model or rao-kupper.\n"
    )
    assert refused("aggregate", "votes", "--ties", "half", "--out", "shards") == (
        "error: shards was written with --ties drop: give a new folder\n"
    )
    assert not (place / "x").exists()
    (place / "begun" / "counted").mkdir(parents=True)
    (place / "begun" / "counted" / "plan.json").write_text("{}")
    assert refused("fit", "begun", "--out", "x") == (
        "error: begun is not finished: give the emjax aggregate that began it once more\n"
    )


OPTIONS = {
    "ties, sides and gold": (
        ["--ties", "model", "--shown-first", "first", "--gold", "right", "--gold-accuracy", 0.9],
        ["--ties", "rao-kupper"],
    ),
    "topics": (["--context", "topic"], []),
    "features": (["--vote-features", "log:seconds", "--feature-bins", 2, "--covariates", "length"], []),
}


@pytest.fixture(scope="module")
def described(place) -> Path:
    """Files of votes with a side, a topic, gold questions, seconds and a difference in length."""
    (place / "described").mkdir()
    rng = np.random.default_rng(0)
    names = ("user", "model_a", "model_b", "winner", "first", "topic", "right", "seconds", "length")
    for number in range(2):
        rows = [
            (
                *row,
                *(row[1 + rng.integers(2)], f"topic {rng.integers(2)}", ["a", "", ""][rng.integers(3)]),
                *(float(rng.integers(1, 9)), int(rng.integers(-3, 4))),
            )
            for row in drawn(number, 600, users=60)
        ]
        write(place / "described" / f"{number}.parquet", rows, names)
    return place / "described"


@pytest.mark.parametrize("what", list(OPTIONS))
def test_options_of_aggregate_are_those_of_fit(run, place, described, what):
    options, model = OPTIONS[what]
    out, name = [f"{what}-shards", f"{what}-fit", f"{what}-direct"], ["--prior", "two-point"]
    run("aggregate", "described", *options, "--shards", 2, "--out", out[0])
    run("fit", out[0], *model, *name, "--out", out[1])
    run("fit", "described", *options, *model, *name, "--out", out[2])
    fits = [json.loads((place / folder / "fit.json").read_text(encoding="utf-8")) for folder in out[1:]]
    assert fits[0]["data"] == fits[1]["data"]
    assert fits[0]["log_likelihood"] == pytest.approx(fits[1]["log_likelihood"], rel=1e-9)
    names = [[one["name"] for one in fit["parameters"]] for fit in fits]
    assert names[0] == names[1]
    tables = [{path.name for path in (place / folder).iterdir()} for folder in out[1:]]
    assert tables[1] - tables[0] <= {"history.parquet"} and tables[0] <= tables[1]


def test_options_that_say_something_else_than_aggregate_was_told(run, place, described):
    run("aggregate", "described", "--context", "topic", "--gold", "right", "--shards", 1, "--out", "settled")

    def refused(*words):
        return run(*words, code=1).stderr

    options = [("--context", "first"), ("--shown-first", "first"), ("--ties", "model")]
    for option in [*options, ("--gold-accuracy", 0.8), ("--vote-features", "seconds")]:
        assert refused("fit", "settled", *option, "--out", "x") == (
            "error: settled holds aggregated votes: --ties and columns were settled by emjax aggregate.\n"
        )
    run("fit", "settled", "--context", "topic", "--gold", "right", "--out", "as-it-was")
    begun = ("aggregate", "described", "--out", "settled")
    assert refused(*begun, "--gold", "right") == (
        "error: settled was written with --context topic: give a new folder\n"
    )
    assert refused(*begun, "--context", "topic", "--gold", "right", "--shown-first", "first") == (
        "error: settled was written without --shown-first: give a new folder\n"
    )
    assert refused(*begun, "--context", "topic", "--gold", "right", "--gold-accuracy", 0.8) == (
        "error: settled was written with --gold-accuracy 0.95: give a new folder\n"
    )
    assert refused(
        "aggregate", "described", "--context", "topic", "--covariates", "length", "--out", "x"
    ) == (
        "error: --vote-features and --covariates take all votes on two models together: leave --context and "
        "--item out.\n"
    )
    assert not (place / "x").exists()


def test_memory_in_the_words_of_this_command(run, place):
    write(place / "large.parquet", drawn(0, 40_000, users=20_000))
    said = run("aggregate", "large.parquet", "--memory-limit", "1MB", "--out", "x", code=1).stderr
    assert said.startswith("error: the votes do not fit into memory (")
    assert said.endswith("): free some, or give emjax aggregate a higher --memory-limit\n")


def test_how_far_it_is_is_shown_on_a_terminal(place):
    read, written = pty.openpty()
    command = [*EMJAX, "aggregate", "votes", "--shards", "2", "--out", "shown"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=written,
        cwd=place,
        env=environment() | {"TERM": "xterm"},
        check=False,
    )
    os.close(written)
    seen = b""
    with suppress(OSError):  # what a terminal answers at the end; each time it gives a few thousand bytes
        while more := os.read(read, 1 << 16):
            seen += more
    seen = seen.decode()
    os.close(read)
    assert done.returncode == 0
    assert "counting" in seen and " s" in seen
