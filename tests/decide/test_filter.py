"""keep: votes judged by the other votes of their user, against a posterior computed vote by vote."""

import numpy as np
import pytest

import emjax
from emjax import ModelError, Preferences

BETA = emjax.Fixed(emjax.Beta(2, 2))
POLICIES = [
    emjax.Threshold(0.5),
    emjax.TopFraction(0.6),
    emjax.TopFraction(0.6, of="users"),
    emjax.Credible(0.5, 0.6),
    emjax.MaxInformation(),
    emjax.Weights(),
    emjax.SoftLabels(),
    emjax.Attentive(),
]


def posterior_of(prefs: Preferences, prior=BETA, strength=0.8) -> emjax.Posterior:
    return emjax.fit_em(prefs, prior, strength=emjax.Known(strength)).posterior(prefs)


def mean_by_hand(wins: float, losses: float, strength: float) -> float:
    """E[η] under Beta(2, 2) of a user with these votes, on a fine grid."""
    eta = (np.arange(20_000) + 0.5) / 20_000
    p = 0.5 + eta * (strength - 0.5)
    mass = eta * (1 - eta) * p**wins * (1 - p) ** losses
    return float((mass * eta).sum() / mass.sum())


@pytest.fixture(scope="module")
def several() -> Preferences:
    """Three comparisons, few users with the same votes."""
    rng = np.random.default_rng(4)
    totals = rng.integers(0, 4, (40, 3))
    totals[0] = (2, 0, 1)
    return Preferences.from_counts(rng.binomial(totals, 0.7), totals)


def test_a_vote_is_judged_as_if_it_had_not_been_cast():
    prefs = Preferences.from_counts([3, 1, 3, 0], [4, 1, 4, 2])
    kept = emjax.filter_votes(posterior_of(prefs), emjax.Attentive())
    votes = kept.votes
    assert votes.user.tolist() == [0, 0, 1, 2, 2, 3]
    assert votes.outcome.tolist() == [0, 1, 0, 0, 1, 1]
    assert votes.count.tolist() == [3, 1, 1, 3, 1, 2]
    for user, outcome, mean in zip(votes.user, votes.outcome, votes.attentiveness, strict=True):
        wins, losses = [(3, 1), (1, 0), (3, 1), (0, 2)][user]
        others = (wins - (outcome == 0), losses - (outcome == 1))
        assert mean == pytest.approx(mean_by_hand(*others, 0.8), abs=1e-6)
    for user, mean in enumerate(kept.users.attentiveness):
        assert mean == pytest.approx(mean_by_hand(*[(3, 1), (1, 0), (3, 1), (0, 2)][user], 0.8), abs=1e-6)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_votes_of_several_comparisons_one_at_a_time(policy, several, monkeypatch):
    monkeypatch.setattr("emjax.decide.filter._BLOCK", 7)
    posterior = posterior_of(several)
    kept = emjax.filter_votes(posterior, policy)
    for at in range(len(kept.votes.user)):
        one = [values[at : at + 1] for values in (kept.votes.user, kept.votes.comparison, kept.votes.outcome)]
        other = posterior.leave_one_out(*one)
        assert kept.votes.attentiveness[at] == pytest.approx(other.mean[0], abs=1e-12)
        if isinstance(policy, emjax.Threshold | emjax.Credible):
            cut = policy.at if isinstance(policy, emjax.Threshold) else policy.probability
            assert kept.votes.kept[at] == (policy.score(other)[0] >= cut)
    assert kept.n_votes == several.n_votes
    assert kept.n_votes_kept == kept.votes.count[kept.votes.kept].sum()
    assert 0 < kept.information_retained <= 1.0


def test_users_with_equal_votes_are_worked_out_once_and_come_out_the_same(monkeypatch):
    rng = np.random.default_rng(5)
    totals = rng.integers(1, 4, (3000, 2))
    prefs = Preferences.from_counts(rng.binomial(totals, 0.6), totals)
    posterior = posterior_of(prefs)
    judged = []
    whole = emjax.Posterior.leave_one_out

    def counting(self, user, *rest):
        judged.append(len(user))
        return whole(self, user, *rest)

    monkeypatch.setattr(emjax.Posterior, "leave_one_out", counting)
    kept = emjax.filter_votes(posterior, emjax.Threshold(0.5))
    assert sum(judged) < kept.votes.count.size / 10
    votes = kept.votes
    alone = whole(posterior, votes.user, votes.comparison, votes.outcome)
    assert np.allclose(votes.attentiveness, alone.mean, atol=1e-12)
    assert np.array_equal(votes.kept, alone.mode >= 0.5)


def test_labels_of_kept_votes_are_not_biased_to_the_stronger_model():
    """Judged by all votes, kept votes went to A too often; judged by the others, as often as η says."""
    sim = emjax.simulate(6, n_users=40_000, votes_per_user=6, prior=emjax.Beta(2, 2), strength=0.85)
    prefs = sim.preferences
    kept = emjax.filter_votes(posterior_of(prefs, strength=0.85), emjax.Threshold(0.55))
    votes, true = kept.votes, 0.5 + sim.attentiveness * 0.35

    def excess(mask: np.ndarray) -> float:
        """How far the share of A exceeds what the users' true attentiveness gives, in standard errors."""
        count, expected = votes.count[mask], true[votes.user[mask]]
        surplus = (count * ((votes.outcome[mask] == 0) - expected)).sum()
        return float(surplus / np.sqrt((count * expected * (1 - expected)).sum()))

    assert 0.2 < kept.n_votes_kept / kept.n_votes < 0.8
    assert excess(kept.users.kept[votes.user]) > 20
    assert abs(excess(votes.kept)) < 4


@pytest.mark.parametrize("policy", [emjax.TopFraction(0.37), emjax.MaxInformation()], ids=repr)
def test_labels_are_not_biased_where_the_cut_comes_from_the_votes(policy):
    sim = emjax.simulate(
        7, n_users=40_000, votes_per_user=5, prior=emjax.TwoPoint(0.1, 0.9, 0.5), strength=0.85
    )
    kept = emjax.filter_votes(
        posterior_of(sim.preferences, emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.5)), 0.85), policy
    )
    votes, true = kept.votes, 0.5 + sim.attentiveness * 0.35
    count, expected = votes.count[votes.kept], true[votes.user[votes.kept]]
    surplus = (count * ((votes.outcome[votes.kept] == 0) - expected)).sum()
    assert kept.n_votes_kept < kept.n_votes
    assert abs(surplus) < 4 * np.sqrt((count * expected * (1 - expected)).sum())


def test_expected_label_accuracy_is_what_the_truth_gives():
    sim = emjax.simulate(8, n_users=20_000, votes_per_user=20, prior=emjax.Beta(2, 2), strength=0.85)
    kept = emjax.filter_votes(posterior_of(sim.preferences, strength=0.85), emjax.TopFraction(0.4))
    users = kept.votes.user[kept.votes.kept]
    true = np.average(0.5 * (1 + sim.attentiveness[users]), weights=kept.votes.count[kept.votes.kept])
    assert kept.label_accuracy == pytest.approx(true, abs=0.003)


def test_weights_labels_and_masks(several):
    posterior = posterior_of(several)
    eta = emjax.filter_votes(posterior, emjax.Attentive()).votes.attentiveness
    weights = emjax.filter_votes(posterior, emjax.Weights())
    assert weights.votes.kept.all() and weights.users.kept.all()
    assert np.array_equal(weights.votes.weight, eta)
    assert np.array_equal(weights.users.weight, posterior.mean)
    soft = emjax.filter_votes(posterior, emjax.SoftLabels())
    assert np.array_equal(soft.votes.weight, np.ones(len(eta)))
    assert np.allclose(soft.votes.soft_label, 1 - (1 - eta) / 2)
    some = emjax.filter_votes(posterior, emjax.TopFraction(0.5))
    assert np.array_equal(some.votes.weight, some.votes.kept.astype(float))
    assert weights.information_retained == soft.information_retained == 1.0
    n, k = some.votes.count, some.votes.kept
    expected = (n * eta)[k].sum() ** 2 / n[k].sum() / (n * eta**2).sum()
    assert some.information_retained == pytest.approx(expected)
    assert (
        some.information_retained
        < emjax.filter_votes(posterior, emjax.MaxInformation()).information_retained
        < 1.0
    )


def test_a_threshold_under_two_points_keeps_users_of_the_likelier_point():
    prefs = Preferences.from_counts([10, 5, 8], [10, 10, 10])
    posterior = posterior_of(prefs, emjax.Fixed(emjax.TwoPoint(0.2, 0.9, 0.5)), 0.9)
    kept = emjax.filter_votes(posterior, emjax.Threshold(0.5))
    assert np.array_equal(kept.users.kept, posterior.probabilities[posterior.row, 1] > 0.5)
    assert kept.notes == ()


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_an_open_scale_is_carried_to_all_that_rests_on_it(policy):
    sim = emjax.simulate(3, n_users=200, votes_per_user=20, prior=emjax.TwoPoint(0.2, 0.9, 0.6), strength=0.7)
    fit = emjax.fit_em(sim.preferences, emjax.TwoPoint())
    posterior = fit.posterior(sim.preferences)
    note = fit.identifiability().open_scale
    assert note and posterior.open_scale == note and note in repr(posterior)
    kept = emjax.filter_votes(posterior, policy)
    assert kept.open_scale == note and note in kept.notes
    assert "expected on an assumed scale (see the note)" in repr(kept) and f"note: {note}" in repr(kept)
    known = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.7))
    calm = emjax.filter_votes(known.posterior(sim.preferences), policy)
    assert calm.open_scale == "" and "assumed scale" not in repr(calm)


def test_a_density_infinite_at_an_end_uses_the_mean_with_a_note():
    prefs = Preferences.from_counts([10, 5, 8], [10, 10, 10])
    posterior = posterior_of(prefs, emjax.Fixed(emjax.Beta(0.5, 0.5)), 0.9)
    kept = emjax.filter_votes(posterior, emjax.Threshold(0.5))
    assert np.array_equal(kept.users.kept, posterior.mean >= 0.5)
    assert "posterior mean" in kept.notes[0] and "note: " in repr(kept)


@pytest.mark.parametrize(
    "policy, words",
    [
        (emjax.Threshold(1.0), "posterior mode is"),
        (emjax.Credible(0.9, 1.0), "probability of an attentiveness of at least 0.9 is"),
    ],
)
def test_a_policy_that_keeps_nothing_names_the_largest_there_is(policy, words):
    prefs = Preferences.from_counts([3, 1], [4, 4])
    posterior = posterior_of(prefs)
    with pytest.raises(ModelError, match=words) as error:
        emjax.filter_votes(posterior, policy)
    assert f"{policy.score(posterior).max():.3f} of a user" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_posterior_without_votes_is_refused():
    whole = posterior_of(Preferences.from_counts([3, 1], [4, 4]))
    bare = emjax.Posterior(whole.users, whole.eta, whole.probabilities, whole.row)
    with pytest.raises(ModelError, match="does not know the votes"):
        emjax.filter_votes(bare, emjax.Weights())


def test_users_without_votes_stay_among_the_users():
    kept = emjax.filter_votes(posterior_of(Preferences.from_counts([3, 0], [4, 0])), emjax.Weights())
    assert kept.users.n_votes.tolist() == [4.0, 0.0]
    assert set(kept.votes.user.tolist()) == {0}


def test_half_votes_are_left_out_by_their_halves():
    prefs = Preferences.from_votes(["a", "a"], [["x", "y"]] * 2, [0.5, 1.0])
    posterior = posterior_of(prefs)
    votes = emjax.filter_votes(posterior, emjax.Attentive()).votes
    assert votes.count.tolist() == [1.5, 0.5]
    half = posterior.leave_one_out(np.array([0]), np.array([0]), np.array([1]), 0.5).mean[0]
    assert votes.attentiveness[1] == pytest.approx(half)


def test_find_gives_the_position_of_each_group(several):
    votes = emjax.filter_votes(posterior_of(several), emjax.Attentive()).votes
    assert np.array_equal(votes.find(votes.user, votes.comparison, votes.outcome), np.arange(len(votes.user)))
    assert votes.find(np.array([0, 0, 39]), np.array([1, 7, 7]), np.array([0, 0, 1])).tolist() == [-1, -1, -1]


def test_flipped_votes_count_with_their_exchanged_winner():
    """With their winner exchanged, adversarial users inform as attentive ones do; without, they reduce it."""
    crowd = emjax.Points(3, points=[-0.9, 0.0, 0.9], weights=[0.3, 0.2, 0.5], low=-1)
    sim = emjax.simulate(0, n_users=200, votes_per_user=80, strengths={"a": 1, "b": 0, "c": -1}, prior=crowd)
    posterior = emjax.fit_em(sim.preferences, emjax.Fixed(crowd)).posterior(sim.preferences)
    turned = emjax.filter_votes(posterior, emjax.Flip(0.5))
    votes = turned.votes
    assert (votes.flipped == (votes.kept & (votes.attentiveness < -0.5))).all() and votes.flipped.any()
    assert (votes.passed_on[votes.kept] >= 0.5).all()
    assert turned.information_retained > 0.95 and turned.label_accuracy > 0.9
    as_they_are = emjax.filter_votes(posterior, emjax.TopFraction(1.0))
    assert as_they_are.information_retained < 0.2 and not as_they_are.votes.flipped.any()
    weighed = emjax.filter_votes(posterior, emjax.Weights()).votes
    assert (weighed.weight[weighed.attentiveness < 0] == 0).all()


def test_a_policy_in_the_words_of_the_command_line():
    sim = emjax.simulate(0, n_users=300, votes_per_user=20, prior=emjax.TwoPoint(0.1, 0.9, 0.5))
    fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74))
    posterior = fit.posterior(sim.preferences)
    assert repr(emjax.filter_votes(posterior, "top:0.7")) == repr(
        emjax.filter_votes(posterior, emjax.TopFraction(0.7))
    )
    with pytest.raises(emjax.ModelError, match=r"best:0\.7"):
        emjax.filter_votes(posterior, "best:0.7")
