"""Shards one after the other give the fit of all votes at once."""

import os

import numpy as np
import pytest

import emjax
from emjax.data.cell_counts import CellCounts
from emjax.data.comparison_table import ComparisonTable
from emjax.data.partition import divided, joined
from emjax.data.response_patterns import distinct
from emjax.infer import vote_sources, votes_streamed

MODELS = {"ant": 0.9, "bee": 0.3, "cat": 0.0, "dog": -0.4, "eel": -0.8}
PRIORS = [
    emjax.TwoPoint(),
    pytest.param(emjax.Points(3), marks=pytest.mark.long),
    emjax.Beta(),
    emjax.Grid(17),
]


@pytest.fixture(scope="module")
def arena():
    prior = emjax.TwoPoint(0.2, 0.9, 0.6)
    return emjax.simulate(3, n_users=900, votes_per_user=12, prior=prior, strengths=MODELS).preferences


def users_of(prefs, wanted):
    """The votes of some users, as one who has only those would read them."""
    rows = np.isin(prefs.user, wanted)
    names = np.array(prefs.comparisons[prefs.comparison[rows]])
    user = np.repeat(prefs.users[prefs.user[rows]], 2)
    won = np.tile([1.0, 0.0], rows.sum())
    keep = np.repeat(prefs.counts[rows].ravel().astype(int), 1)
    take = np.repeat(np.arange(len(user)), keep)
    return emjax.Preferences.from_votes(user[take], np.repeat(names, 2, axis=0)[take], won[take])


@pytest.fixture(scope="module")
def shards(arena):
    return [users_of(arena, np.arange(i, arena.n_users, 3)) for i in range(3)]


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: type(prior).__name__)
def test_shards_give_the_fit_of_the_whole(arena, shards, prior):
    whole, streamed = emjax.fit_em(arena, prior, tol=1e-7), emjax.fit_em(shards, prior, tol=1e-7)
    assert streamed.converged
    np.testing.assert_allclose(streamed.log_likelihood, whole.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(streamed.strength.strengths, whole.strength.strengths, rtol=0, atol=1e-10)
    ours, theirs = streamed.standard_errors(), whole.standard_errors()
    loose = 1e-6 if isinstance(prior, emjax.Grid) else 1e-8  # weights of a Grid are not unique to rounding
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=0, atol=loose)
    np.testing.assert_allclose(ours.std_err, theirs.std_err, rtol=1e-5, atol=1e-8)
    assert streamed.data == whole.data
    assert (streamed.em_steps, streamed.newton_steps) == (whole.em_steps, whole.newton_steps)


def test_shards_with_swapped_sides_give_the_fit_of_the_whole():
    """A shard may list its pair the other way round."""
    rng = np.random.default_rng(0)
    totals = rng.integers(3, 30, 2000)
    wins = rng.binomial(totals, np.where(rng.random(2000) < 0.5, 0.72, 0.52))
    pair, turned = [("new", "old")], [("old", "new")]
    whole = emjax.Preferences.from_counts(wins, totals, comparisons=pair)
    first, last = np.arange(1200), np.arange(1200, 2000)
    shards = [
        emjax.Preferences.from_counts(wins[first], totals[first], users=first, comparisons=pair),
        emjax.Preferences.from_counts((totals - wins)[last], totals[last], users=last, comparisons=turned),
    ]
    for strength in (None, emjax.Known({("new", "old"): 0.74})):
        one, two = (emjax.fit_em(x, emjax.Beta(), strength=strength) for x in (whole, shards))
        np.testing.assert_allclose(one.standard_errors().estimate, two.standard_errors().estimate, rtol=1e-9)


def test_cells_without_their_users_give_the_fit_of_the_users():
    prefs = emjax.simulate(4, n_users=500, votes_per_user=15).preferences
    totals = ComparisonTable(
        prefs.comparisons, prefs.shown, prefs.wins_by_comparison(), prefs.n_users, prefs.most_votes
    )
    cells = joined(divided(distinct(prefs), 4), 1)
    strength = emjax.Known(0.74)
    one = emjax.fit_em(prefs, emjax.TwoPoint(), strength=strength)
    two = emjax.fit_em(CellCounts(totals, cells), emjax.TwoPoint(), strength=strength)
    np.testing.assert_allclose(one.standard_errors().estimate, two.standard_errors().estimate, rtol=1e-10)
    assert one.data == two.data


def test_rows_beyond_the_limit_of_one_device_are_fitted_in_parts(arena, monkeypatch):
    # To the very end: rounding of log L then hides what is less than a hundred thousandth standard error.
    whole = emjax.fit_em(arena, emjax.TwoPoint(), tol=1e-14)
    monkeypatch.setattr(vote_sources, "_MAX_ELEMENTS", 500)
    parts = []
    monkeypatch.setattr(vote_sources, "divided", lambda cells, n: parts.append(n) or divided(cells, n))
    fit = emjax.fit_em(arena, emjax.TwoPoint(), tol=1e-14)
    assert parts[0] > 1
    np.testing.assert_allclose(fit.log_likelihood, whole.log_likelihood, rtol=1e-13)
    found, wanted = fit.standard_errors(), whole.standard_errors()
    np.testing.assert_allclose((found.estimate - wanted.estimate) / wanted.std_err, 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std_err, wanted.std_err, rtol=1e-5)


def test_wrong_sources_of_shards_are_refused(arena, shards):
    with pytest.raises(emjax.ModelError, match=r"can be gone over only once: give a list"):
        emjax.fit_em((x for x in shards), emjax.TwoPoint())
    with pytest.raises(emjax.ModelError, match=r"got a list"):
        emjax.fit_em([], emjax.TwoPoint())
    with pytest.raises(emjax.VotesError, match=r"300 users of shard 3 are in an earlier shard too, first 0"):
        emjax.fit_em([*shards, shards[0]], emjax.TwoPoint())


class Changing:
    """Shards of which one is another when it is read again."""

    def __init__(self, shards, later):
        self.turns, self.shards, self.later = 0, shards, later

    def __iter__(self):
        self.turns += 1
        yield from self.shards[:-1]
        if self.turns > 2:
            if isinstance(self.later, Exception):
                raise self.later
            yield self.later
        else:
            yield self.shards[-1]


def test_shards_that_change_or_break_during_a_fit_end_it(shards, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(emjax.FitError, match="held 900 users when they were counted, and 610"):
        emjax.fit_em(Changing(shards, users_of(shards[0], np.arange(10))), emjax.TwoPoint())
    with pytest.raises(emjax.VotesError, match="damaged"):
        emjax.fit_em(Changing(shards, emjax.VotesError("shard 2 is damaged")), emjax.TwoPoint())
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_a_full_disk_and_a_removed_folder_raise_errors(shards, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def full(*_):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as at:
        at.setattr(votes_streamed.np, "save", full)
        with pytest.raises(emjax.FitError, match=r"Shard 0 .*No space left on device.*TMPDIR"):
            emjax.fit_em(shards, emjax.TwoPoint())
    put = votes_streamed.Shelf.put

    def and_lose(self, layout):
        put(self, layout)
        for path in self.folder.glob("shard-00002-*"):
            path.unlink()

    monkeypatch.setattr(votes_streamed.Shelf, "put", and_lose)
    with pytest.raises(emjax.FitError, match="Shard 2 of the votes has gone from"):
        emjax.fit_em(shards, emjax.TwoPoint())
    assert not list(tmp_path.iterdir())
