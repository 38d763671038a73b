"""Rows with their decisions, and training pairs among them, against going through the table by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.data.row_matching import opened_rows
from emjax.errors import MissingExtra, ModelError, OutputError, VotesError
from emjax.train.dataset import strata_of, to_dpo_dataset
from emjax.train.pairs import decide_rows, write_rows

COLUMNS = ["prompt", "chosen", "rejected", "user", "attentiveness", "weight", "soft_label"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Votes of 40 users on two models, either side first, every tenth a tie, with texts."""
    sim = emjax.simulate(1, n_users=40, votes_per_user=12, prior=emjax.TwoPoint(0.1, 0.9, 0.5), strength=0.85)
    columns, rng = sim.columns(), np.random.default_rng(0)
    order = rng.permutation(len(sim.user))
    turned = rng.random(len(order)) < 0.5
    a, b, winner = (columns[name][order] for name in ("model_a", "model_b", "winner"))
    names = np.where(winner == "model_a", a, b)
    winner = np.where(np.arange(len(order)) % 10 == 3, "tie", names)
    first, second = np.where(turned, b, a), np.where(turned, a, b)
    return pa.table(
        {
            "user": [f"u{u}" for u in sim.user[order]],
            "model_a": first.tolist(),
            "model_b": second.tolist(),
            "winner": winner.tolist(),
            "prompt": [f"prompt {i}" for i in range(len(order))],
            "response_a": [f"{model} says {i}" for i, model in enumerate(first)],
            "response_b": [f"{model} says {i}" for i, model in enumerate(second)],
        }
    )


@pytest.fixture(scope="module")
def fit(table) -> emjax.Fit:
    strength = emjax.Known({("A", "B"): 0.85})
    return emjax.fit_em(emjax.read_votes(table), emjax.Fixed(emjax.Beta(1, 1)), strength=strength)


def write(table, fit, policy, **to):
    prefs = emjax.read_votes(table)
    with opened_rows(table, {}) as rows:
        return write_rows(decide_rows(rows, emjax.filter_votes(fit.posterior(prefs), policy), prefs), **to)


@pytest.mark.parametrize("rows_together", [5, 1 << 14])
def test_each_row_has_the_decision_on_its_vote(rows_together, table, fit, tmp_path, monkeypatch):
    monkeypatch.setattr("emjax.train.pairs._ROWS_TOGETHER", rows_together)
    policy = emjax.TopFraction(0.6)
    written = write(table, fit, policy, votes=tmp_path / "votes.parquet", pairs=tmp_path)
    prefs = emjax.read_votes(table)
    posterior = fit.posterior(prefs)
    kept = emjax.filter_votes(posterior, policy)
    annotated = pq.read_table(tmp_path / "votes.parquet")
    decisive = [row for row in table.to_pylist() if row["winner"] != "tie"]
    assert annotated.drop(["kept", "weight", "attentiveness", "soft_label"]).to_pylist() == decisive
    pairs = pq.read_table(tmp_path / "train.parquet").to_pylist()
    position = {user: at for at, user in enumerate(prefs.users)}
    expected = []
    for row in annotated.to_pylist():
        user, outcome = position[row["user"]], int(row["winner"] != prefs.comparisons[0, 0])
        kind = kept.votes.find(np.array([user]), np.array([0]), np.array([outcome]))[0]
        other = posterior.leave_one_out(np.array([user]), np.array([0]), np.array([outcome]))
        assert row["attentiveness"] == pytest.approx(other.mean[0], abs=1e-12)
        assert row["soft_label"] == pytest.approx(0.5 * (1 + other.mean[0]))
        assert row["kept"] == kept.votes.kept[kind] == (row["weight"] == 1.0)
        if row["kept"]:
            won = row["winner"] == row["model_a"]
            answers = (row["response_a"], row["response_b"])
            expected.append(
                (row["prompt"], answers[not won], answers[won], row["user"], row["attentiveness"])
            )
            assert expected[-1][1].startswith(row["winner"])
    assert [tuple(pair[name] for name in COLUMNS[:5]) for pair in pairs] == expected
    assert (written.rows, written.rows_kept, written.pairs) == (len(decisive), len(expected), len(expected))
    assert written.left_out == (("ties", table.num_rows - len(decisive)),)


def test_columns_that_share_a_name_with_a_decision_are_renamed(table, fit, tmp_path):
    more = table.append_column("Weight", pa.array(range(len(table))))
    more = more.append_column("weight_original", pa.array(range(len(table))))
    written = write(more, fit, emjax.Weights(), votes=tmp_path / "votes.parquet")
    assert written.renamed == (("Weight", "Weight_original"), ("weight_original", "weight_original_original"))
    annotated = pq.read_table(tmp_path / "votes.parquet")
    assert annotated["Weight_original"].to_pylist() == annotated["weight_original_original"].to_pylist()
    assert np.allclose(annotated["weight"], annotated["attentiveness"])


def test_resampling_draws_each_pair_by_its_weight(table, fit, tmp_path):
    drawn = np.zeros(table.num_rows)
    seeds = 60
    prompts = {prompt: at for at, prompt in enumerate(table["prompt"].to_pylist())}
    for seed in range(seeds):
        written = write(table, fit, emjax.Weights(), pairs=tmp_path, resample=seed)
        pairs = pq.read_table(tmp_path / "train.parquet")
        assert abs(written.pairs - (table.num_rows - written.left_out[0][1])) <= 1
        assert set(pairs["weight"].to_pylist()) == {1.0}
        np.add.at(drawn, [prompts[prompt] for prompt in pairs["prompt"].to_pylist()], 1)
    write(table, fit, emjax.Weights(), votes=tmp_path / "votes.parquet")
    annotated = pq.read_table(tmp_path / "votes.parquet")
    weight = np.zeros(table.num_rows)
    weight[[prompts[prompt] for prompt in annotated["prompt"].to_pylist()]] = annotated["weight"]
    expected = weight / weight.sum() * len(annotated)
    # Each count is one of two neighbouring whole numbers: its variance is at most a quarter.
    assert np.abs(drawn / seeds - expected).max() < 5 * 0.5 / np.sqrt(seeds)
    again = pq.read_table(tmp_path / "train.parquet")
    write(table, fit, emjax.Weights(), pairs=tmp_path, resample=seeds - 1)
    assert pq.read_table(tmp_path / "train.parquet").equals(again)


def test_resampling_needs_weights(table, fit, tmp_path):
    with pytest.raises(ModelError, match="gives none"):
        write(table, fit, emjax.Attentive(), pairs=tmp_path, resample=0)


def test_votes_unknown_to_a_posterior_are_refused(table, fit):
    posterior = fit.posterior(emjax.read_votes(table.slice(0, 100)))
    with pytest.raises(VotesError, match="votes are not among those that the posterior was made from"):
        to_dpo_dataset(table, posterior, emjax.Attentive())


@pytest.mark.filterwarnings("ignore")  # of what datasets imports
def test_a_dataset_from_a_fit_or_a_posterior(table, fit, tmp_path):
    from_fit = to_dpo_dataset(table, fit, emjax.TopFraction(0.5), folder=tmp_path / "pairs")
    assert from_fit.column_names == COLUMNS
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["train.parquet"]
    posterior = fit.posterior(emjax.read_votes(table))
    from_posterior = to_dpo_dataset(table, posterior, emjax.TopFraction(0.5))
    assert from_posterior.to_dict() == from_fit.to_dict()
    assert from_posterior.cache_files, "it is mapped from disk"
    with pytest.raises(OutputError, match="holds something"):
        to_dpo_dataset(table, fit, emjax.Weights(), folder=tmp_path / "pairs")


@pytest.mark.filterwarnings("ignore")
def test_a_fit_with_strata_needs_no_stratum_columns_named(table):
    stratified = table.append_column("seconds", pa.array(np.arange(len(table)) % 7 + 0.5))
    prefs = emjax.read_votes(stratified, vote_features=["seconds"], feature_bins=3)
    assert prefs.strata is not None
    model = {"prior": emjax.Fixed(emjax.Beta(1, 1)), "strength": emjax.Known({("A", "B"): 0.8})}
    fit = emjax.fit_em(prefs, **model)
    posterior = fit.posterior(prefs)
    from_posterior = to_dpo_dataset(stratified, posterior, emjax.Weights())
    assert len(from_posterior) > 0
    assert strata_of(fit) == strata_of(posterior) == prefs.strata
    assert to_dpo_dataset(stratified, fit, emjax.Weights()).to_dict() == from_posterior.to_dict()
    without = emjax.fit_em(prefs, **model, behavior=emjax.AttentiveOrRandom())
    assert strata_of(without) is None
    # strata of a caller's own need the column of the contexts
    texts = stratified.set_column(
        stratified.column_names.index("seconds"), "seconds", stratified["seconds"].cast(pa.string())
    )
    own = emjax.VoteStrata.given(np.unique(np.asarray(texts["seconds"])).tolist(), np.arange(7.0))
    by_context = emjax.read_votes(texts, context="seconds").with_strata(own)
    fit = emjax.fit_em(by_context, **model)
    assert to_dpo_dataset(texts, fit, emjax.Weights(), context="seconds").num_rows == len(from_posterior)


def test_refused_votes_leave_no_files(table, fit, tmp_path):
    bare = table.drop(["response_b"])
    with pytest.raises(
        VotesError, match="no column holds the answer of model B, the closest is 'response_a'"
    ):
        to_dpo_dataset(bare, fit, emjax.Weights(), folder=tmp_path / "out")
    empty = table.set_column(4, "prompt", pa.array([None] * len(table), pa.string()))
    with pytest.raises(VotesError, match="kept votes have no prompt, first at data row 1:"):
        to_dpo_dataset(empty, fit, emjax.Weights(), folder=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_package_gives_the_install_command(table, fit, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r'pip install "emjax\[train\]"'):
        to_dpo_dataset(table, fit, emjax.Weights())
