"""`emjax fit --gold`, `--prior-users` and `emjax filter --gold`."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two days of votes of 200 users on two models, every fifth with a right answer; and their truth."""
    folder, rng = tmp_path_factory.mktemp("evidence"), np.random.default_rng(0)
    eta = np.where(np.arange(200) < 100, 0.95, 0.05)
    for day, votes in (("monday", 15), ("tuesday", 5)):
        user = np.repeat(np.arange(200), votes)
        known = rng.random(user.size) < 0.2
        new_is_right = np.where(known, rng.random(user.size) < 0.5, True)
        said_right = rng.random(user.size) < 0.5 + eta[user] * np.where(known, 0.45, 0.25)
        won = np.where(said_right == new_is_right, "new", "old")
        table = {
            "rater": [f"u{u:03d}" for u in user],
            "model_a": ["new"] * user.size,
            "model_b": ["old"] * user.size,
            "winner": won,
            "truth": np.where(known, np.where(new_is_right, "new", "old"), None).tolist(),
            "prompt": ["?"] * user.size,
            "answer_a": ["yes"] * user.size,
            "answer_b": ["no"] * user.size,
        }
        pq.write_table(pa.table(table), folder / f"{day}.parquet")
    return folder


@pytest.fixture(scope="module")
def monday(folder):
    columns = ("--user", "rater", "--gold", "truth", "--gold-accuracy", 0.9)
    done = emjax_cli("fit", "monday.parquet", *columns, "--prior", "two-point", "--out", "one", cwd=folder)
    return done


def test_answers_to_gold_questions_are_told_and_settle_the_scale(folder, monday):
    assert "known besides" in monday.stderr + monday.stdout
    fit = json.loads((folder / "one" / "fit.json").read_text())
    assert not any(finding["about"] == "scale" for finding in fit["identifiability"]["findings"])
    assert fit["data"]["gold_accuracy"] == 0.9
    truth = pq.read_table(folder / "monday.parquet").column("truth")
    assert fit["data"]["n_votes_known_besides"] == len(truth) - truth.null_count
    assert fit["data"]["n_votes"] == truth.null_count
    page = (folder / "one" / "report.html").read_text()
    assert "answers to gold questions, or earlier votes, count too" in page and "history.parquet" in page
    strength = pq.read_table(folder / "one" / "comparisons.parquet").column("strength")[0].as_py()
    assert strength == pytest.approx(0.75, abs=0.04)


def test_the_next_day_goes_on_from_what_was_known(folder, monday):
    columns = ("--user", "rater", "--gold", "truth", "--gold-accuracy", 0.9, "--prior", "two-point")
    for name, more in (("alone", ()), ("on", ("--prior-users", "one"))):
        emjax_cli("fit", "tuesday.parquet", *columns, *more, "--out", name, cwd=folder)
    eta = np.where(np.arange(200) < 100, 0.95, 0.05)
    told = {}
    for name in ("alone", "on"):
        users = pq.read_table(folder / name / "users.parquet")
        assert users.column("user").to_pylist() == [f"u{u:03d}" for u in range(200)]
        told[name] = np.corrcoef(users.column("attentiveness").to_numpy(), eta)[0, 1]
    assert told["on"] > told["alone"] + 0.1
    assert (folder / "on" / "prior_users.parquet").exists()
    both = emjax.read_anchor_votes(folder / "on" / "history.parquet")
    assert both.n_votes == 200 * 20


def test_the_filter_reads_gold_as_the_fit_did_and_trains_on_none(folder, monday):
    columns = ("--user", "rater", "--gold", "truth", "--fit", "one", "--policy", "weights")
    texts = ("--response-a", "answer_a", "--response-b", "answer_b")
    emjax_cli("filter", "monday.parquet", *columns, *texts, "--out", "kept", cwd=folder)
    summary = json.loads((folder / "kept" / "filter.json").read_text())
    truth = pq.read_table(folder / "monday.parquet").column("truth")
    assert summary["votes"]["left_out"]["gold questions"] == len(truth) - truth.null_count
    assert summary["votes"]["n"] == truth.null_count == summary["pairs"]["n_pairs"]
    users = {t: pq.read_table(folder / t / "users.parquet").column("attentiveness") for t in ("one", "kept")}
    assert np.allclose(users["one"].to_numpy(), users["kept"].to_numpy())


def test_a_history_of_a_scale_that_was_open_says_so(folder, monday):
    columns = ("--user", "rater", "--prior", "two-point")
    done = emjax_cli("fit", "monday.parquet", *columns, "--out", "open", cwd=folder)
    for earlier, told in (("open", True), ("one", False)):
        words = ("--gold", "truth", "--prior-users", earlier, "--out", "later", "--overwrite")
        done = emjax_cli("fit", "tuesday.parquet", *columns, *words, cwd=folder)
        assert ("left the scale of attentiveness open" in " ".join(done.stderr.split())) == told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--gold", "winner"), "on gold questions"),
        (("--gold", "prompt"), "have a right answer that names neither model"),
        (("--gold", "truth", "--gold-accuracy", "1.2"), "below 1"),
        (("--prior-users", "nowhere"), "--prior-users nowhere was not written by emjax fit"),
        (("--gold", "truth", "--item", "prompt"), "do not go with anchor votes (--gold, --prior-users"),
    ],
)
def test_what_cannot_be_is_refused(folder, words, says):
    done = emjax_cli(
        "fit", "monday.parquet", "--user", "rater", *words, "--out", "refused", cwd=folder, code=1
    )
    assert says in " ".join(done.stderr.split()), done.stderr
    assert not (folder / "refused").exists()
