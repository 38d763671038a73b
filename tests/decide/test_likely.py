"""Policies that judge single votes: against `vote_posteriors` and simulated attentive votes."""

import numpy as np
import pytest

import emjax
from emjax.decide.policy_text import parse_policy


def drawn(seed, users=800, votes=25):
    """Votes in three comparisons, and for each the attentive vote; without the package."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < 0.6, 0.8, 0.1)
    user = np.repeat(np.arange(users), votes)
    comparison = rng.integers(3, size=user.size)
    look = rng.random(user.size) < np.array([0.9, 0.75, 0.4])[comparison]
    won = np.where(rng.random(user.size) < eta[user], look, rng.random(user.size) < 0.5)
    return user, comparison, won, look


@pytest.fixture(scope="module")
def seen():
    user, comparison, won, look = drawn(0)
    prefs = emjax.Preferences.from_votes(user, comparison, won)
    prior = emjax.Fixed(emjax.TwoPoint(0.1, 0.8, 0.6))
    fit = emjax.fit_em(prefs, prior, strength=emjax.Known([0.9, 0.75, 0.4]))
    posterior = fit.posterior(prefs)
    right = np.zeros((prefs.n_users, 3, 2))
    np.add.at(right, (user, comparison, 1 - won), won == look)
    return posterior, emjax.vote_posteriors(posterior), right


def test_labels_and_weights_are_those_of_single_votes(seen):
    posterior, one, _ = seen
    labels = emjax.filter_votes(posterior, emjax.SoftLabels(by="vote")).votes
    weights = emjax.filter_votes(posterior, emjax.Weights(by="vote")).votes
    for mine, theirs in (("user", one.user), ("comparison", one.comparison), ("outcome", one.outcome)):
        assert np.array_equal(getattr(labels, mine), theirs)
    assert np.array_equal(labels.soft_label, one.prob_right) and (labels.weight == 1).all()
    assert np.array_equal(weights.weight, one.prob_attentive)
    assert (labels.kept & weights.kept).all()


def test_what_is_likely_right_is_right_that_often(seen):
    posterior, one, right = seen
    kept = emjax.filter_votes(posterior, emjax.Likely(0.8))
    votes = kept.votes
    assert np.array_equal(votes.kept, one.prob_right >= 0.8)
    true = right[votes.user, votes.comparison, votes.outcome][votes.kept].sum() / kept.n_votes_kept
    assert abs(true - kept.label_accuracy) < 4 * np.sqrt(0.25 / kept.n_votes_kept)
    everything = right.sum() / kept.n_votes
    assert abs(everything - kept.label_accuracy_of_all) < 4 * np.sqrt(0.25 / kept.n_votes)
    same_size = emjax.filter_votes(posterior, emjax.TopFraction(kept.n_votes_kept / kept.n_votes)).votes
    by_user = right[same_size.user, same_size.comparison, same_size.outcome][same_size.kept].sum()
    assert true > by_user / same_size.count[same_size.kept].sum()
    assert np.array_equal(kept.users.kept, np.isin(np.arange(800), votes.user[votes.kept]))


def test_notes_state_the_bias_and_information_is_nan(seen):
    posterior, _, _ = seen
    for policy in (emjax.Likely(0.8), emjax.SoftLabels(by="vote"), emjax.Weights(by="vote")):
        kept = emjax.filter_votes(posterior, policy)
        assert "stronger side" in repr(kept) and "information" not in repr(kept)
        assert np.isnan(kept.information_retained)
    assert emjax.SoftLabels().notes(posterior) == ()


def test_ties_and_sides_keep_their_places():
    rng = np.random.default_rng(1)
    n = 600
    prefs = emjax.Preferences.from_votes(
        rng.integers(30, size=n),
        [["a", "b"]] * n,
        rng.choice([0.0, 0.5, 1.0], n),
        shown_first=rng.random(n) < 0.5,
        ties="model",
    )
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.TwoPoint(0.2, 0.9, 0.5)), strength=emjax.Known(0.8))
    posterior = fit.posterior(prefs)
    one, votes = (
        emjax.vote_posteriors(posterior),
        emjax.filter_votes(posterior, emjax.SoftLabels(by="vote")).votes,
    )
    decided = one.outcome < 4
    assert np.array_equal(votes.user, one.user[decided]) and np.array_equal(
        votes.outcome, one.outcome[decided]
    )
    assert np.array_equal(votes.soft_label, one.prob_right[decided])


def test_command_line_words_are_read_and_invalid_levels_refused():
    assert parse_policy("likely:0.9") == emjax.Likely(0.9)
    assert parse_policy("soft-labels:vote") == emjax.SoftLabels(by="vote")
    assert parse_policy("weights:vote") == emjax.Weights(by="vote")
    for text, says in (
        ("weights:house", "is not a policy"),
        ("likely:2", "between 0 and 1"),
        ("likely:x", "number"),
    ):
        with pytest.raises(emjax.ModelError, match=says):
            parse_policy(text)
    with pytest.raises(emjax.ModelError, match='"user" or "vote"'):
        emjax.Weights(by="house")
    prefs = emjax.Preferences.from_counts([3], [4])
    careless_only = emjax.Fixed(emjax.Points(1, points=[0.0]))
    posterior = emjax.fit_em(prefs, careless_only, strength=emjax.Known(0.8)).posterior(prefs)
    with pytest.raises(emjax.ModelError, match="no user is attentive"):
        emjax.filter_votes(posterior, emjax.Likely(0.5))
    sharp = emjax.fit_em(
        prefs, emjax.Fixed(emjax.Beta()), strength=emjax.Known(0.8), behavior=emjax.Sharpness()
    )
    with pytest.raises(emjax.ModelError, match="attentiveness is not the share of attentive votes"):
        emjax.filter_votes(sharp.posterior(prefs), emjax.Likely(0.5))
