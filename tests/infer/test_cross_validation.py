"""The split loses and repeats no vote, the refit is scored as by hand, simulated truth is calibrated."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2

import emjax
import oracles
from emjax import EmjaxWarning, ModelError, Preferences, VotesError
from emjax.infer.cross_validation import ALL_ATTENTIVE, MAJORITY, MODEL, ONE_FOR_ALL, cross_validate, split

ARENA = {"ant": 1.6, "bee": 0.8, "cat": 0.2, "dog": -0.6, "eel": -2.0}


def arena(seed: int, prior: emjax.model.prior.Attentiveness, users: int = 300) -> Preferences:
    sim = emjax.simulate(seed, n_users=users, votes_per_user=40, prior=prior, strengths=ARENA)
    return sim.preferences


def full(prefs: Preferences) -> np.ndarray:
    """Counts as (users, comparisons, 2)."""
    counts = np.zeros((prefs.n_users, prefs.n_comparisons, 2))
    counts[prefs.user, prefs.comparison] = prefs.counts
    return counts


def distance(curve: emjax.Reliability) -> tuple[float, float]:
    """Σ z² of a curve's bins, and what a calibrated one stays below in 999 of 1,000 cases."""
    error = (curve.upper - curve.lower) / 3.92
    squares = (((curve.observed - curve.predicted) / error) ** 2).sum()
    return squares, chi2.ppf(0.999, curve.predicted.size)


# --------------------------------------------------------------------------------------------- the split


@pytest.mark.parametrize("folds", [2, 5, 13])
def test_every_vote_is_held_out_once_and_in_training_otherwise(folds):
    rng = np.random.default_rng(folds)
    wins = rng.integers(0, 9, (30, 4)) * 0.5
    prefs = Preferences.from_counts(wins, wins + rng.integers(0, 9, (30, 4)) * 0.5)
    held = np.zeros((30, 4, 2))
    for training, out in split(prefs, folds, seed=1):
        assert np.array_equal(full(training) + full(out), full(prefs))
        assert training.counts.min(axis=1).min() >= 0 and training.counts.any(axis=1).all()
        assert out.counts.any(axis=1).all()
        assert np.array_equal(training.users, prefs.users) and np.array_equal(
            out.comparisons, prefs.comparisons
        )
        np.testing.assert_allclose(training.shown + out.shown, prefs.shown)
        merged = training + out
        assert np.array_equal(merged.counts, prefs.counts) and np.array_equal(merged.user, prefs.user)
        held += full(out)
    assert np.array_equal(held, full(prefs))


def test_a_split_depends_on_the_seed_alone():
    prefs = Preferences.from_counts(np.full(20, 7.0), np.full(20, 12.0))
    first, again, other = ([full(out) for _, out in split(prefs, 3, seed)] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_whole_votes_stay_whole_and_the_halves_of_a_tie_together():
    """A won two, B one, and there was one tie: the tie is on one side, whichever."""
    prefs = Preferences.from_counts(np.full(200, 2.5), np.full(200, 4.0))
    for _, out in split(prefs, 4, seed=0):
        rest = out.counts % 1.0
        assert set(rest.ravel()) == {0.0, 0.5}
        assert np.array_equal(rest[:, 0], rest[:, 1])


def test_parts_have_equal_expected_numbers_of_votes():
    prefs = Preferences.from_counts(np.full(4000, 3.0), np.full(4000, 5.0))
    held = np.array([full(out)[:, 0] for _, out in split(prefs, 4, seed=3)])
    share = held.sum(axis=1) / full(prefs).sum(axis=0)
    assert np.abs(share - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 8000)
    # each vote by itself: a user's votes for A that are held out are binomial
    assert held[:, :, 0].var() == pytest.approx(3 * 0.25 * 0.75, rel=0.05)
    assert abs(np.corrcoef(held[0, :, 0], held[0, :, 1])[0, 1]) < 0.06


def test_wrong_folds_and_too_few_votes_are_refused():
    prefs = Preferences.from_counts([1], [1])
    with pytest.raises(ModelError, match="at least 2; got 1"):
        cross_validate(prefs, emjax.TwoPoint(), folds=1)
    with pytest.raises(VotesError, match="1 votes are too few for 5 folds"):
        cross_validate(prefs, emjax.TwoPoint())


# ------------------------------------------------------------------------------------ what is scored, how


MU, KNOWN, USERS = 0.8, emjax.Fixed(emjax.TwoPoint(0.1, 0.7, 0.5)), 800


@pytest.fixture(scope="module")
def duel() -> Preferences:
    return emjax.simulate(1, n_users=USERS, votes_per_user=12, prior=KNOWN.prior, strength=MU).preferences


@pytest.fixture(scope="module")
def dueling(duel) -> emjax.Calibration:
    return cross_validate(duel, KNOWN, strength=emjax.Known(MU), folds=3, seed=7)


def test_each_part_is_predicted_from_the_others_alone(duel, dueling):
    """Everything known but the users: the score by hand, fold by fold, of the model and two of the others."""
    eta, weights = np.array([0.1, 0.7]), np.array([0.5, 0.5])
    chance = 0.5 + eta * (MU - 0.5)
    scores = {MODEL: 0.0, ALL_ATTENTIVE: 0.0, ONE_FOR_ALL: 0.0}
    for training, out in split(duel, 3, seed=7):
        posterior = oracles.responsibilities(full(training), np.array([MU]), eta, weights)
        share = training.counts[:, 0].sum() / training.n_votes
        won = {
            MODEL: posterior @ chance,
            ALL_ATTENTIVE: np.full(USERS, MU),
            ONE_FOR_ALL: np.full(USERS, 0.5 + np.clip((share - 0.5) / (MU - 0.5), 0, 1) * (MU - 0.5)),
        }
        for name, p in won.items():
            scores[name] += (full(out)[:, 0] * np.log(np.stack([p, 1 - p], axis=1))).sum() / duel.n_votes
    assert dueling.n_votes == duel.n_votes and list(dueling.probability) == [*scores, MAJORITY]
    for name, score in scores.items():
        assert dueling.log_scores[name].mean == pytest.approx(score, abs=1e-7)


def test_unadjusted_predictions_are_not_calibrated_with_careless_users(dueling):
    """The strength is known, the users are not: a predicted 0.8 is above the observed frequency."""
    squares, limit = distance(dueling.reliability[ALL_ATTENTIVE])
    assert squares > 10 * limit
    squares, limit = distance(dueling.reliability[MODEL])
    assert squares < limit
    assert dueling.overconfidence[ALL_ATTENTIVE].lower > 0.1
    assert dueling.gains[ONE_FOR_ALL].lower > 0


def test_a_warning_of_the_refits_comes_once(duel, monkeypatch):
    def warned(*given, **options):
        warnings.warn("This comes with every fit.", EmjaxWarning, stacklevel=2)
        warnings.warn("So does this, of another kind.", RuntimeWarning, stacklevel=2)
        return emjax.fit_em(*given, **options)

    monkeypatch.setattr("emjax.infer.cross_validation.fit_em", warned)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_validate(duel, KNOWN, strength=emjax.Known(MU), folds=3, seed=7)
    texts = [str(w.message) for w in caught]
    assert texts.count("In a fit without some of the votes: This comes with every fit.") == 1
    assert set(texts) - {"So does this, of another kind."} == {texts[0]}


# ---------------------------------------------------------------------------------------- simulated truth


@pytest.mark.long
def test_the_true_model_is_calibrated_and_beats_the_three_baselines():
    found = cross_validate(arena(2, emjax.TwoPoint(0.1, 0.95, 0.5)), emjax.TwoPoint(), folds=2)
    assert found.n_votes == 12_000 and found.n_users == 300
    squares, limit = distance(found.reliability[MODEL])
    assert found.reliability[MODEL].predicted.size >= 8
    assert squares < limit
    assert found.overconfidence[MODEL].lower < 0 < found.overconfidence[MODEL].upper
    assert set(found.gains) == {ALL_ATTENTIVE, ONE_FOR_ALL, MAJORITY}
    for name, gain in found.gains.items():
        assert gain.lower > 0.005, name


def test_the_log_score_is_no_lower_where_every_user_is_attentive():
    found = cross_validate(arena(3, emjax.Points(1, points=[1.0])), emjax.TwoPoint(), folds=2)
    assert abs(found.gains[ALL_ATTENTIVE].mean) < 0.001
    assert found.gains[MAJORITY].lower > 0
    squares, limit = distance(found.reliability[MODEL])
    assert squares < limit
