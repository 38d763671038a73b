"""`emjax fit --features`, `--scores`: strengths learned from what a file says of answers."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax

pytest.importorskip("flax", reason="Flax is not installed: pip install 'emjax[contextual]'")

COLUMNS = ("--user", "rater", "--model-a", "left", "--model-b", "right", "--winner", "choice")
ITEM = ("--item", "question")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contextual")
    rng = np.random.default_rng(0)
    names = np.array(["ant", "bee", "cat"])
    prompt, first = rng.integers(40, size=4800), rng.integers(3, size=4800)
    second = (first + rng.integers(1, 3, size=4800)) % 3
    x = rng.normal(size=(120, 3))
    reward = x @ [1.5, -1.0, 0.0]
    user = np.repeat(np.arange(120), 40)
    eta = np.where(np.arange(120) < 80, 0.95, 0.0)
    p = 1 / (1 + np.exp(reward[3 * prompt + second] - reward[3 * prompt + first]))
    won = rng.random(4800) < 0.5 + eta[user] * (p - 0.5)
    table = {
        "rater": user,
        "left": names[first],
        "right": names[second],
        "choice": np.where(won, "left", "right"),
        "question": prompt,
        "prompt": np.char.add("q", prompt.astype(str)),
        "answer_a": names[first],
        "answer_b": names[second],
    }
    pq.write_table(pa.table(table), folder / "votes.parquet")
    of = {"question": np.repeat(np.arange(40), 3), "model": np.tile(names, 40)}
    columns = of | {"one": x[:, 0], "rest": pa.array(x[:, 1:].tolist()), "text": np.tile(names, 40)}
    pq.write_table(pa.table(columns), folder / "features.parquet")
    pa.csv.write_csv(
        pa.table({"context": of["question"], "model": of["model"], "score": reward}), folder / "s.csv"
    )
    pq.write_table(pa.table(columns).slice(0, 60), folder / "some.parquet")
    pq.write_table(pa.table(of), folder / "none.parquet")
    holes = np.where(np.arange(120) < 2, np.nan, x[:, 0])
    pq.write_table(pa.table(of | {"one": holes}), folder / "holes.parquet")
    (folder / "features.txt").write_text("?", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    words = ("--features", "features.parquet", "--prior", "two-point", "--out", "fitted")
    done = emjax_cli("fit", "votes.parquet", *COLUMNS, *ITEM, *words, cwd=folder)
    return done


def test_a_fit_by_features_finds_careless_users(folder, done):
    assert "learned (--features) strength" in done.stdout and "no standard error" in done.stdout
    users = pq.read_table(folder / "fitted" / "users.parquet").to_pydict()
    attentive = np.array(users["user"]) < 80
    assert ((np.array(users["attentiveness"]) > 0.5) == attentive).mean() > 0.95
    table = pq.read_table(folder / "fitted" / "comparisons.parquet")
    assert {"strength", "context"} <= set(table.column_names)
    page = (folder / "fitted" / "report.html").read_text(encoding="utf-8")
    assert "from a reward network over features of the answers" in page and "strength.npz" in page
    fit = emjax.load_fit(folder / "fitted")
    assert isinstance(fit.strength, emjax.RewardNetwork) and fit.strength.features.shape == (120, 3)
    emjax_cli("report", "fitted", cwd=folder)


@pytest.mark.usefixtures("done")
def test_votes_are_filtered_by_it(folder):
    command = ("filter", "votes.parquet", *COLUMNS, *ITEM, "--fit", "fitted")
    emjax_cli(*command, "--policy", "threshold:0.5", "--out", "kept", cwd=folder)
    votes = pq.read_table(folder / "kept" / "votes.parquet").to_pydict()
    kept, attentive = np.array(votes["kept"]), np.array(votes["rater"]) < 80
    assert (kept == attentive).mean() > 0.93


def test_a_fit_by_scores(folder):
    words = ("--scores", "s.csv", "--prior", "two-point", "--out", "by-scores")
    done = emjax_cli("fit", "votes.parquet", *COLUMNS, *ITEM, *words, cwd=folder)
    assert "learned (--scores) strength" in done.stdout and "probability at a difference of" in done.stdout
    assert isinstance(emjax.load_fit(folder / "by-scores").strength, emjax.MonotoneReward)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--features", "features.parquet"), "needs --item COLUMN"),
        ((*ITEM, "--features", "features.parquet", "--scores", "s.csv"), "not both"),
        ((*ITEM, "--features", "features.parquet", "--strength", "shared"), "leave --strength shared out"),
        ((*ITEM, "--features", "no.parquet"), "there is no such file"),
        ((*ITEM, "--features", "features.txt"), "has to end in .parquet"),
        ((*ITEM, "--features", "none.parquet"), "no column of numbers"),
        ((*ITEM, "--features", "holes.parquet"), "2 of 120 answers have features that are missing"),
        ((*ITEM, "--features", "some.parquet"), "60 of 120 answers that were voted on have no features"),
        ((*ITEM, "--features", "votes.parquet"), "'question' (or context) and model"),
        ((*ITEM, "--scores", "features.parquet"), "one column of numbers named score"),
    ],
)
def test_words_that_cannot_be_are_refused(folder, words, message):
    done = emjax_cli("fit", "votes.parquet", *COLUMNS, *words, "--out", "none", cwd=folder, code=1)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr and not (folder / "none").exists()
