"""`emjax fit --item` and `emjax filter --item`: votes on the same pairs of answers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax

COLUMNS = ("--user", "rater", "--model-a", "left", "--model-b", "right", "--winner", "choice")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overlap")
    rng = np.random.default_rng(0)
    names = np.array(["ant", "bee", "cat"])
    pairs = np.array([(0, 1), (0, 2), (1, 2)])[rng.integers(0, 3, 800)]
    better = rng.random(800) < 0.6
    item, user = np.repeat(np.arange(800), 4), rng.integers(0, 120, 3200)
    eta = np.where(np.arange(120) < 80, 0.95, 0.05)
    won = rng.random(3200) < 0.5 + eta[user] * (np.where(better, 0.98, 0.02)[item] - 0.5)
    table = {
        "rater": user,
        "left": names[pairs[item, 0]],
        "right": names[pairs[item, 1]],
        "choice": np.where(won, "left", "right"),
        "question": np.char.add("q", item.astype(str)),
        "prompt": np.char.add("q", item.astype(str)),
        "answer_a": names[pairs[item, 0]],
        "answer_b": names[pairs[item, 1]],
    }
    pq.write_table(pa.table(table), folder / "votes.parquet")
    np.save(folder / "truth.npy", np.where(better, names[pairs[:, 0]], names[pairs[:, 1]]))
    return folder


@pytest.fixture(scope="module")
def done(folder):
    words = (
        "fit",
        "votes.parquet",
        *COLUMNS,
        "--item",
        "question",
        "--prior",
        "two-point",
        "--out",
        "fitted",
    )
    done = emjax_cli(*words, cwd=folder)
    return done


def test_consensus_and_users_are_in_the_files(folder, done):
    assert "800 comparisons" in done.stdout and "no standard error" in done.stdout
    table = pq.read_table(folder / "fitted" / "comparisons.parquet").to_pydict()
    truth = np.load(folder / "truth.npy")
    number = np.array([int(name[1:]) for name in table["item"]])
    assert (np.array(table["consensus"]) == truth[number]).mean() > 0.9
    assert min(table["prob_consensus"]) >= 0.5 and max(table["prob_consensus"]) <= 1
    users = pq.read_table(folder / "fitted" / "users.parquet").to_pydict()
    attentive = np.array(users["user"]) < 80
    assert ((np.array(users["attentiveness"]) > 0.5) == attentive).mean() > 0.97
    page = (folder / "fitted" / "report.html").read_text(encoding="utf-8")
    assert "one strength per pair of answers" in page
    assert "its probability" in page and f">{table['item'][0]}<" in page
    assert not (folder / "fitted" / "leaderboard.parquet").exists()
    assert isinstance(emjax.load_fit(folder / "fitted").strength, emjax.PerItem)


@pytest.mark.usefixtures("done")
def test_votes_are_filtered_by_it(folder):
    command = ("filter", "votes.parquet", *COLUMNS, "--item", "question", "--fit", "fitted")
    emjax_cli(*command, "--policy", "threshold:0.5", "--out", "kept", cwd=folder)
    votes = pq.read_table(folder / "kept" / "votes.parquet").to_pydict()
    kept, attentive = np.array(votes["kept"]), np.array(votes["rater"]) < 80
    assert (kept == attentive).mean() > 0.95
    assert len(pq.read_table(folder / "kept" / "dpo" / "train.parquet")) == kept.sum()


@pytest.mark.usefixtures("done")
def test_a_filter_without_the_item_is_refused(folder):
    """Which the filter knows from the fit, unless it is taken back."""
    command = ("filter", "votes.parquet", *COLUMNS, "--fit", "fitted", "--policy", "top:0.7", "--out", "none")
    done = emjax_cli(*command, "--item", "", cwd=folder, code=1)
    assert "--item COLUMN" in done.stderr and not (folder / "none").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--strength", "per-item"), "per-item strengths and --item COLUMN"),
        (("--item", "question", "--strength", "bradley-terry"), "--item COLUMN"),
        (("--item", "question", "--context", "question"), "not both"),
        (("--item", "page"), "there is no column 'page'"),
        (("--item", "question", "--strength", "per-item:1"), "at least two nodes"),
    ],
)
def test_words_that_cannot_be_are_refused(folder, words, message):
    done = emjax_cli("fit", "votes.parquet", *COLUMNS, *words, "--out", "none", cwd=folder, code=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "none").exists()
