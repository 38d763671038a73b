"""emjax fit --vote-features, and emjax filter after it: from a table of votes to labels, in a shell."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli

import emjax

KINDS = emjax.VoteStrata.given(["quick", "usual", "slow"], [-1.2, 0.0, 1.2], names=["pace"])
TRUTH = emjax.AttentiveOrRandom(features=emjax.VoteFeatures(KINDS, slopes=[1.3]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with votes of which the seconds and the device are known, and a fit to them."""
    folder = tmp_path_factory.mktemp("features")
    sim = emjax.simulate(
        2,
        n_users=300,
        votes_per_user=30,
        strengths={"ant": 1.0, "bee": 0.0, "cat": -1.0},
        prior=emjax.Beta(2, 3),
        behavior=TRUTH,
    )
    rng = np.random.default_rng(0)
    table = sim.columns()
    seconds = np.exp(2.0 + table.pop("pace") + 0.1 * rng.normal(size=len(sim.user)))
    columns = {"judge": table.pop("user"), **table, "took": seconds.round(2)}
    columns["device"] = np.array(["phone", "desktop"], object)[rng.integers(2, size=len(seconds))]
    columns["prompt"] = [f"question {i}" for i in range(len(seconds))]
    columns |= {f"response_{side}": [f"answer {side} {i}" for i in range(len(seconds))] for side in "ab"}
    pq.write_table(pa.table(columns), folder / "votes.parquet")
    done = emjax_cli(
        *("fit", "votes.parquet", "--prior", "beta", "--vote-features", "log:took, device"),
        *("--feature-bins", 3, "--out", "fitted"),
        cwd=folder,
    )
    assert "attention by log took" in done.stdout and "in 6 contexts of 3 models" in done.stdout
    return folder


def test_the_fit_knows_what_makes_a_look_likelier(folder):
    fit = emjax.load_fit(folder / "fitted")
    se = fit.standard_errors()
    pace, device = se["attention by log took"], se["attention by device = desktop"]
    assert abs(pace.estimate - 1.3) < 4 * pace.std_err and pace.lower > 0.0
    assert abs(device.estimate) < 4 * device.std_err
    prefs = emjax.read_votes(folder / "votes.parquet", vote_features=["log:took", "device"], feature_bins=3)
    again = emjax.fit_em(prefs, emjax.Beta())
    np.testing.assert_allclose(fit.log_likelihood, again.log_likelihood, rtol=1e-9)
    assert fit.behavior.features.strata == prefs.strata
    assert not (folder / "fitted" / "history.parquet").exists()


def test_the_page_shows_in_which_votes_users_are_attentive(folder):
    page = (folder / "fitted" / "report.html").read_text(encoding="utf-8")
    assert "In which votes users are attentive" in page
    assert "attentive votes depend on features of votes" in page
    assert page.count("device = ") >= 3 and "the share of attentive votes of the user" in page


@pytest.mark.parametrize("policy", ["soft-labels:vote", "top:0.5", "weights"])
def test_filter_cuts_the_same_columns_at_the_same_points(folder, policy):
    emjax_cli(
        *("filter", "votes.parquet", "--fit", "fitted", "--policy", policy, "--out", "kept", "--overwrite"),
        cwd=folder,
    )
    votes = pq.read_table(folder / "kept" / "votes.parquet").to_pandas()
    slow = votes["took"] > votes["took"].quantile(0.67)
    assert votes["attentiveness"][slow].mean() > votes["attentiveness"][~slow].mean() + 0.2
    prefs = emjax.read_votes(
        folder / "votes.parquet", vote_features=emjax.load_fit(folder / "fitted").behavior.features.strata
    )
    after = emjax.load_fit(folder / "fitted").posterior(prefs)
    users = pq.read_table(folder / "kept" / "users.parquet").to_pandas()
    np.testing.assert_allclose(users["attentiveness"], after.mean, rtol=1e-9)
    assert json.loads((folder / "kept" / "filter.json").read_text(encoding="utf-8"))["pairs"]["n_pairs"] > 0


def test_ties_and_features_go_together(folder):
    emjax_cli(
        *("fit", "votes.parquet", "--prior", "two-point", "--guess", "0.5", "--shown-first", "model_a"),
        *("--vote-features", "log:took", "--feature-bins", 3, "--out", "sided"),
        cwd=folder,
    )
    behavior = emjax.load_fit(folder / "sided").behavior
    assert behavior.sides and behavior.features.names() == ("attention by log took",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vote-features", "nope"), "there is no column 'nope'"),
        (("--vote-features", ","), "--vote-features needs columns"),
        (("--vote-features", "took", "--context", "device"), "leave --context and --item out"),
        (("--vote-features", "took", "--item", "prompt"), "leave --context and --item out"),
        (
            ("--vote-features", "took", "--behavior", "sharpness"),
            "needs --behavior attentive-or-random, not sharpness",
        ),
        (("--vote-features", "took", "--feature-bins", 1), "at least 2 bins"),
        (
            ("--vote-features", "took", "--strength", "per-pair"),
            "need strengths that votes of all strata share",
        ),
        (("--vote-features", "prompt"), "more than the 30 allowed"),
        (("--feature-bins", 4), "cuts the columns of --vote-features"),
    ],
)
def test_words_that_cannot_be_are_refused_in_one_line(folder, words, message):
    done = emjax_cli("fit", "votes.parquet", *words, "--out", "none", cwd=folder, code=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "none").exists()
