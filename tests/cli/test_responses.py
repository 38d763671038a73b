"""Behaviors on the command line: sides, ties, contrarians, sharpness, and votes turned round."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax

STRENGTHS = {"ant": 1.5, "bee": 0.5, "cat": -0.5, "dog": -1.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Votes of three kinds of users, with sides and ties, in a file whose columns have other names."""
    folder = tmp_path_factory.mktemp("behavior")
    crowd = emjax.Points(3, points=[-0.8, 0.0, 0.9], weights=[0.15, 0.25, 0.6], low=-1)
    rule = emjax.AttentiveOrRandom(guess=0.75, ties=emjax.Davidson(0.5), careless_ties=0.2)
    sim = emjax.simulate(0, n_users=600, votes_per_user=50, strengths=STRENGTHS, prior=crowd, behavior=rule)
    columns = sim.columns()
    n = len(sim.user)
    table = {
        "rater": columns["user"],
        "left": columns["model_a"],
        "right": columns["model_b"],
        "choice": columns["winner"],
        "question": np.full(n, "?", object),
        "answer_a": columns["model_a"],
        "answer_b": columns["model_b"],
    }
    pq.write_table(pa.table(table), folder / "votes.parquet")
    np.save(folder / "truth.npy", sim.attentiveness)
    return folder


COLUMNS = ("--user", "rater", "--model-a", "left", "--model-b", "right", "--winner", "choice")
ALL = (*COLUMNS, "--shown-first", "left", "--ties", "model")


@pytest.fixture(scope="module")
def done(folder):
    """A fit of them with sides, ties and contrarians, in the folder `fitted`."""
    done = emjax_cli(
        "fit", "votes.parquet", *ALL, "--contrarians", "--prior", "points:3", "--out", "fitted", cwd=folder
    )
    return done


def test_all_of_them_in_one_fit_and_votes_turned_round(folder, done):
    fit = emjax.load_fit(folder / "fitted")
    se = fit.standard_errors()
    assert abs(se["guess"].estimate - 0.75) < 4 * se["guess"].std_err
    assert "guess" in done.stdout and "careless ties" in done.stdout
    page = (folder / "fitted" / "report.html").read_text(encoding="utf-8")
    assert "careless ties" in page
    comparisons = pq.read_table(folder / "fitted" / "comparisons.parquet").to_pydict()
    assert sum(comparisons["ties"]) > 1000
    emjax_cli("report", "fitted", cwd=folder)

    command = ("filter", "votes.parquet", *ALL, "--fit", "fitted", "--policy", "flip:0.5", "--out", "flipped")
    emjax_cli(*command, cwd=folder)
    votes = pq.read_table(folder / "flipped" / "votes.parquet").to_pydict()
    truth = np.load(folder / "truth.npy")[np.array(votes["rater"])]
    flipped = np.array(votes["flipped"])
    assert flipped.sum() > 1000 and (truth[flipped] == -0.8).mean() > 0.98
    assert min(votes["attentiveness"]) > -0.85 and np.array(votes["attentiveness"])[flipped].min() >= 0.5
    pairs = pq.read_table(folder / "flipped" / "dpo" / "train.parquet").to_pydict()
    texts = zip(pairs["chosen"], pairs["rejected"], strict=True)
    better = np.array([STRENGTHS[chosen] > STRENGTHS[rejected] for chosen, rejected in texts])
    turned = np.array([np.load(folder / "truth.npy")[user] == -0.8 for user in pairs["user"]])
    assert better[turned].mean() > 0.7


@pytest.mark.long
def test_the_other_rules_and_curves_are_a_word_each(folder):
    for words, expected in (
        (("--ties", "rao-kupper", "--prior", "two-point"), "RaoKupper"),
        (("--behavior", "sharpness", "--prior", "two-point"), "Sharpness"),
        (("--shown-first", "left", "--guess", "0.75", "--prior", "two-point"), "guess=0.75"),
        (("--context", "question", "--prior", "two-point"), "ant in ?"),
    ):
        emjax_cli("fit", "votes.parquet", *COLUMNS, *words, "--out", "one", "--overwrite", cwd=folder)
        fit = emjax.load_fit(folder / "one")
        assert expected in repr(fit.behavior) or expected in fit.strength.models


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--ties", "model", "--behavior", "sharpness"), "sharpness knows no ties"),
        (("--behavior", "asleep"), "give attentive-or-random or sharpness"),
        (("--contrarians", "--prior", "beta"), "--contrarians needs a prior that allows values below 0"),
        (("--shown-first", "left", "--guess", "1.5"), "needs 0 < guess < 1"),
        (("--ties", "maybe"), "give drop, half, model or rao-kupper"),
        (("--shown-first", "answer"), "there is no column 'answer'"),
        (("--shown-first", "question"), "do not say which model was shown first"),
    ],
)
def test_words_that_cannot_be_are_refused_in_one_line(folder, words, message):
    done = emjax_cli("fit", "votes.parquet", *COLUMNS, *words, "--out", "none", cwd=folder, code=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "none").exists()


@pytest.mark.usefixtures("done")
def test_a_filter_has_to_read_the_votes_as_the_fit_did(folder):
    command = ("filter", "votes.parquet", *COLUMNS, "--policy", "top:0.7", "--out", "no")
    for words in (("--ties", "drop"), ("--shown-first", "")):
        done = emjax_cli(*command, *words, "--fit", "fitted", cwd=folder, code=1)
        assert not (folder / "no").exists()
        assert "read them with" in done.stderr or "read both" in done.stderr
