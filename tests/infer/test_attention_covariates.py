"""Attentiveness of single votes by features: every prior and strength against plain NumPy, and the truth."""

import dataclasses
import warnings

import jax
import numpy as np
import pytest
import response_cases
from scipy.stats import rankdata

import emjax
from emjax.infer.majority_agreement import majority_agreement
from emjax.infer.posteriors import posterior

NAMES = ("pace", "length")
KINDS = emjax.VoteStrata.given(
    [f"{pace}, {length}" for pace in ("quick", "usual", "slow") for length in ("short", "long")],
    [[pace, length] for pace in (-1.2, 0.1, 1.1) for length in (-1.0, 1.0)],
    names=NAMES,
)
SLOPES = np.array([1.2, -0.7])
TRUTH = emjax.AttentiveOrRandom(features=emjax.VoteFeatures(KINDS, slopes=SLOPES))
THREE = {"ant": 1.0, "bee": 0.1, "cat": -1.1}
PRIORS = {
    "two-point": emjax.TwoPoint(),
    "points": emjax.Points(3),
    "beta": emjax.Beta(),
    "grid": emjax.Grid(17),
    "fixed": emjax.Fixed(emjax.Beta(2, 3)),
}
PAIR, TRIO = {"strength": 0.8}, {"strengths": THREE}
STRENGTHS = {
    "known": (PAIR, lambda: emjax.Known(0.8)),
    "shared": (PAIR, lambda: emjax.Shared()),
    "bradley-terry": (TRIO, lambda: emjax.BradleyTerry()),
}


APART = emjax.Points(3, points=[0.05, 0.5, 0.95], weights=[0.3, 0.3, 0.4])


def drawn(models, seed=3, users=600, votes=24, prior=None):
    prior = emjax.Beta(2, 3) if prior is None else prior
    return emjax.simulate(seed, n_users=users, votes_per_user=votes, prior=prior, behavior=TRUTH, **models)


def tilts(prefs, features):
    numbers = dict(zip(features.strata.contexts, np.array(features.strata.values), strict=True))
    return np.array([numbers[str(of)] @ features.slopes for of in prefs.contexts])


def in_numpy(prefs, prior, strength, features):
    """Log-likelihood, posterior (m, G) at the nodes, and by comparison each node's η and chance of A."""
    with jax.enable_x64(True):
        eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
        logits = np.asarray(strength.logits(strength.index(prefs.table)))
    there = response_cases.with_odds(eta[None, :], tilts(prefs, features)[:, None])
    to_a = 0.5 + there * (response_cases.logistic(logits)[:, None] - 0.5)
    joint = np.tile(np.log(np.maximum(weights, 1e-300)), (prefs.n_users, 1))
    by_row = prefs.counts[:, :1] * np.log(to_a)[prefs.comparison]
    by_row += prefs.counts[:, 1:] * np.log1p(-to_a)[prefs.comparison]
    np.add.at(joint, prefs.user, by_row)
    peak = joint.max(axis=1, keepdims=True)
    total = np.exp(joint - peak).sum(axis=1, keepdims=True)
    return float((np.log(total) + peak).sum()), np.exp(joint - peak) / total, there, to_a


COMBINATIONS = [
    # A covering array stays in `make test`; the full product is run by `make test-all`.
    pytest.param((p, s), id=f"{p}-{s}", marks=[pytest.mark.long] if (i - j) % len(STRENGTHS) else [])
    for i, p in enumerate(PRIORS)
    for j, s in enumerate(STRENGTHS)
]


@pytest.fixture(scope="module", params=COMBINATIONS)
def fitted(request):
    prior, strength = request.param
    models, make = STRENGTHS[strength]
    sim = drawn(models, prior=APART if prior == "points" else None)
    return sim, emjax.fit_em(sim.preferences, PRIORS[prior], strength=make())


def test_every_prior_and_strength_reaches_a_maximum_of_the_likelihood_in_plain_numpy(fitted):
    sim, fit = fitted
    prefs, features = sim.preferences, fit.behavior.features
    assert fit.converged and (np.diff(fit.trace) > -1e-9 * abs(fit.trace[-1])).all()
    value, _, _, _ = in_numpy(prefs, fit.prior, fit.strength, features)
    np.testing.assert_allclose(fit.log_likelihood, value, rtol=1e-10)
    best = value + float(features.log_prior())
    for number in range(2):
        for step in (-0.03, 0.03):
            moved = features.at(features.slopes + step * (np.arange(2) == number))
            there = in_numpy(prefs, fit.prior, fit.strength, moved)[0] + float(moved.log_prior())
            assert there < best


def test_the_slopes_are_recovered_within_their_standard_errors(fitted):
    _, fit = fitted
    se = fit.standard_errors()
    for name, slope in zip(NAMES, SLOPES, strict=True):
        assert abs(se[f"attention by {name}"].estimate - slope) < 4 * se[f"attention by {name}"].std_err


def test_users_and_votes_are_judged_as_in_plain_numpy(fitted):
    sim, fit = fitted
    prefs = sim.preferences
    found = fit.posterior(prefs)
    _, by_node, there, to_a = in_numpy(prefs, fit.prior, fit.strength, fit.behavior.features)
    size = prefs.counts.sum(axis=1)
    with jax.enable_x64(True):
        eta = np.asarray(fit.prior.nodes().eta)
    own = np.zeros((prefs.n_users, len(eta)))
    np.add.at(own, prefs.user, size[:, None] * there[prefs.comparison])
    own = own / prefs.votes_by_user()[:, None]
    mean = (by_node * own).sum(axis=1)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9, atol=1e-12)
    sd = np.sqrt((by_node * (own - mean[:, None]) ** 2).sum(axis=1))
    np.testing.assert_allclose(found.sd, sd, rtol=1e-6, atol=1e-9)
    lower, upper = found.interval(0.9)
    inside = (by_node * ((own >= lower[:, None] - 1e-9) & (own <= upper[:, None] + 1e-9))).sum(axis=1)
    assert (inside > (0.85 if found.log_spacing is not None else 0.9 - 1e-9)).all()
    assert (found.prob_above(1.5) == 0.0).all() and np.allclose(found.prob_above(-0.1), 1.0)
    if found.log_spacing is None:
        above = (by_node * (own >= 0.5 - 1e-12)).sum(axis=1)
        np.testing.assert_allclose(found.prob_above(0.5), above, atol=1e-9)
    # One vote for A left out of each row that has one; and that vote judged with all others.
    rows = np.flatnonzero(prefs.counts[:, 0] > 0)[:200]
    user, comparison = prefs.user[rows], prefs.comparison[rows]
    other = by_node[user] / to_a[comparison]
    other = other / other.sum(axis=1, keepdims=True)
    left = found.leave_one_out(user, comparison, np.zeros(len(rows), int))
    np.testing.assert_allclose(left.mean, (other * there[comparison]).sum(axis=1), rtol=1e-8, atol=1e-12)
    one = emjax.vote_posteriors(found)
    key = {
        place: p
        for *place, p in zip(one.user, one.comparison, one.outcome, one.prob_attentive, strict=True)
        for place in [tuple(place)]
    }
    attended = (by_node[user] * (1 - 0.5 * (1 - there[comparison]) / to_a[comparison])).sum(axis=1)
    mine = [key[u, c, 0] for u, c in zip(user, comparison, strict=True)]
    np.testing.assert_allclose(mine, attended, rtol=1e-8, atol=1e-9)


def test_slopes_of_zero_give_the_fit_without_features():
    prefs = drawn(TRIO).preferences
    stiff = emjax.AttentiveOrRandom(features=emjax.VoteFeatures(KINDS, l2=1e12))
    with_features = emjax.fit_em(prefs, emjax.TwoPoint(), behavior=stiff, tol=1e-7)
    without = emjax.fit_em(prefs, emjax.TwoPoint(), behavior=emjax.AttentiveOrRandom(), tol=1e-7)
    np.testing.assert_allclose(with_features.behavior.features.slopes, 0.0, atol=1e-8)
    np.testing.assert_allclose(with_features.log_likelihood, without.log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(with_features.posterior(prefs).mean, without.posterior(prefs).mean, atol=1e-5)


def test_units_and_origins_of_features_do_not_matter():
    """Three free points absorb a shift of all log-odds."""
    prefs = drawn(TRIO).preferences
    values = np.array(KINDS.values)
    other = emjax.VoteStrata.given(KINDS.contexts, 2.0 * values + 0.4, names=NAMES)
    fits = [
        emjax.fit_em(
            dataclasses.replace(prefs, strata=strata),
            emjax.Points(2),
            behavior=emjax.AttentiveOrRandom(features=emjax.VoteFeatures(strata, l2=0.0)),
            tol=1e-6,
        )
        for strata in (KINDS, other)
    ]
    np.testing.assert_allclose(fits[0].log_likelihood, fits[1].log_likelihood, rtol=1e-9)
    slopes = [fit.behavior.features.slopes for fit in fits]
    np.testing.assert_allclose(slopes[0], 2.0 * slopes[1], rtol=1e-3)
    means = [fit.posterior(prefs).mean for fit in fits]
    np.testing.assert_allclose(means[0], means[1], atol=1e-3)


def test_which_model_is_called_a_does_not_matter():
    sim = drawn(TRIO)
    table = sim.columns()
    turned = {"model_a": "model_b", "model_b": "model_a", "tie": "tie"}
    kind = np.array(KINDS.contexts, object)[sim.kind]
    fits = []
    for first, second, word in (("model_a", "model_b", str), ("model_b", "model_a", turned.get)):
        won = np.array([word(w) == "model_a" for w in table["winner"]])
        pairs = np.column_stack([table[first], table[second]])
        prefs = emjax.Preferences.from_votes(table["user"], pairs, won, context=kind).with_strata(KINDS)
        fits.append(emjax.fit_em(prefs, emjax.Beta(), tol=1e-7))
    np.testing.assert_allclose(
        fits[0].standard_errors().estimate, fits[1].standard_errors().estimate, rtol=1e-6, atol=1e-6
    )


def test_gold_questions_count_as_votes_of_average_features():
    prefs = drawn(TRIO, users=300).preferences
    rng = np.random.default_rng(0)
    right = rng.binomial(4, 0.6, prefs.n_users)
    known = emjax.AnchorVotes.from_counts(prefs.users, right, 4 - right, accuracy=0.9)
    fit = emjax.fit_em(prefs.with_anchor_votes(known), emjax.TwoPoint(), tol=1e-7)
    assert fit.converged
    value, by_node, _, _ = in_numpy(prefs, fit.prior, fit.strength, fit.behavior.features)
    gold = 0.5 + np.asarray(fit.prior.nodes().eta)[None, :] * 0.4
    likelihood = gold ** right[:, None] * (1 - gold) ** (4 - right)[:, None]
    more = np.log((by_node * likelihood).sum(axis=1)).sum()
    np.testing.assert_allclose(fit.log_likelihood, value + more, rtol=1e-9)


def test_shards_of_votes_with_features_give_the_fit_of_all_of_them():
    prefs = drawn(TRIO).preferences

    def part(mine):
        users, user = np.unique(prefs.user[mine], return_inverse=True)
        rows = {"comparison": prefs.comparison[mine], "counts": prefs.counts[mine]}
        return dataclasses.replace(prefs, users=prefs.users[users], user=user, **rows)

    half = prefs.user < 300
    whole = emjax.fit_em(prefs, emjax.TwoPoint(), tol=1e-7)
    given = emjax.AttentiveOrRandom(features=KINDS)
    shards = emjax.fit_em([part(half), part(~half)], emjax.TwoPoint(), behavior=given, tol=1e-7)
    np.testing.assert_allclose(
        shards.standard_errors().estimate, whole.standard_errors().estimate, rtol=1e-7, atol=1e-8
    )


def by_vote(sim, fit):
    """prob_attentive and prob_right of each vote of a simulation, in its order."""
    prefs = sim.preferences
    one = emjax.vote_posteriors(fit.posterior(prefs))
    where = {tuple(x): i for i, x in enumerate(np.column_stack([one.user, one.comparison, one.outcome]))}
    labels = {
        (a, b, of): i for i, ((a, b), of) in enumerate(zip(prefs.comparisons, prefs.contexts, strict=True))
    }
    place = {u: i for i, u in enumerate(prefs.users)}
    at = []
    for user, a, b, won, kind in zip(sim.user, sim.model_a, sim.model_b, sim.a_won, sim.kind, strict=True):
        a, b, of = sim.models[a], sim.models[b], KINDS.contexts[kind]
        turned = (a, b, of) not in labels
        comparison = labels[(b, a, of) if turned else (a, b, of)]
        at.append(where[place[user], comparison, int(won == turned)])
    return one.prob_attentive[at], one.prob_right[at]


def area(score, truth):
    """Area under the ROC curve, by ranks."""
    ranks, n = rankdata(score), truth.sum()
    return (ranks[truth].sum() - n * (n + 1) / 2) / (n * (~truth).sum())


@pytest.mark.long
def test_features_distinguish_careless_votes_of_half_attentive_users():
    """Half of every user's votes are attentive, so users are alike; probabilities are calibrated."""
    half = emjax.Points(1, points=[0.5])
    sim = drawn(TRIO, users=800, votes=30, prior=half)
    prefs = sim.preferences
    fit = emjax.fit_em(prefs, emjax.TwoPoint())
    plain = emjax.fit_em(prefs, emjax.TwoPoint(), behavior=emjax.AttentiveOrRandom())
    known, _ = by_vote(sim, fit)
    guessed, _ = by_vote(sim, plain)
    assert area(known, sim.looked) > area(guessed, sim.looked) + 0.1
    for low in np.arange(0.0, 1.0, 0.1):
        mine = (known >= low) & (known < low + 0.1)
        if mine.sum() > 400:
            said, found = known[mine].mean(), sim.looked[mine].mean()
            assert abs(said - found) < 4 * np.sqrt(0.25 / mine.sum()) + 0.03


@pytest.mark.long
def test_policies_keep_the_attentive_votes():
    sim = drawn(TRIO, users=800, votes=30)
    prefs = sim.preferences
    fit = emjax.fit_em(prefs, emjax.Beta())
    plain = emjax.fit_em(prefs, emjax.Beta(), behavior=emjax.AttentiveOrRandom())
    for policy in (emjax.TopFraction(0.4), emjax.SoftLabels(), emjax.Weights()):
        with_features, without = (emjax.filter_votes(f.posterior(prefs), policy) for f in (fit, plain))
        assert with_features.votes.attentiveness.std() > without.votes.attentiveness.std()
    both = [emjax.filter_votes(f.posterior(prefs), emjax.TopFraction(0.4)) for f in (fit, plain)]
    slow = np.array([of.startswith("slow") for of in prefs.contexts])
    kept_slow = [
        np.average(slow[k.votes.comparison[k.votes.kept]], weights=k.votes.count[k.votes.kept]) for k in both
    ]
    assert kept_slow[0] > 0.5 > kept_slow[1]
    assert both[0].label_accuracy > both[1].label_accuracy


def test_a_saved_fit_with_features_gives_posteriors_of_new_votes(tmp_path):
    sim = drawn(TRIO)
    fit = emjax.fit_em(sim.preferences, emjax.Beta())
    again = emjax.load_fit(fit.save(tmp_path / "fit"))
    new = drawn(TRIO, seed=8, users=50).preferences
    np.testing.assert_array_equal(again.posterior(new).mean, fit.posterior(new).mean)
    assert again.behavior.features.strata == KINDS
    assert repr(again.behavior).startswith("AttentiveOrRandom(features=VoteFeatures(pace: 1.")


@pytest.mark.long
def test_cross_validated_log_score_is_higher_with_features():
    prefs = drawn(TRIO, users=800, votes=30).preferences
    scores = [
        emjax.cross_validate(prefs, emjax.Beta(), behavior=behavior, folds=2).log_scores["attentiveness"].mean
        for behavior in (None, emjax.AttentiveOrRandom())
    ]
    assert scores[0] > scores[1]


def test_features_with_unsupported_models_are_refused():
    prefs = drawn(TRIO, users=50).preferences
    plain = dataclasses.replace(prefs, strata=None, contexts=None)
    beta = emjax.Beta()
    for strength in (emjax.PerPair(), emjax.BradleyTerry(l2_context=1.0), emjax.PerItem()):
        with pytest.raises(emjax.ModelError, match="vote features need strengths that votes of all strata"):
            emjax.fit_em(prefs, beta, strength=strength)
    with pytest.raises(emjax.ModelError, match="features of votes need votes that were read with them"):
        emjax.fit_em(plain, beta, behavior=TRUTH)
    with pytest.raises(emjax.ModelError, match="takes as features VoteFeatures"):
        emjax.AttentiveOrRandom(features=[1.0, 2.0])
    with pytest.raises(emjax.ModelError, match="one finite slope for each of pace, length"):
        emjax.VoteFeatures(KINDS, slopes=[1.0])
    for wrong in (-1.0, np.nan):
        with pytest.raises(emjax.ModelError, match="l2 >= 0"):
            emjax.VoteFeatures(KINDS, l2=wrong)
    with pytest.raises(emjax.ModelError, match="VoteFeatures takes the strata of votes"):
        emjax.VoteFeatures(["pace"])
    fit = emjax.fit_em(prefs, beta)
    with pytest.raises(emjax.ModelError, match="there is no history"):
        fit.history(prefs)
    other = dataclasses.replace(prefs, contexts=np.array(["never seen"] * prefs.n_comparisons, object))
    with pytest.raises(emjax.VotesError, match="never seen"):
        fit.posterior(other)


def one_pair(seed, first, slope=2.0, users=300, votes=15):
    """Votes on two models, shown both ways round; the better one has the second name if `first` is False."""
    rng = np.random.default_rng(seed)
    eta, user = rng.beta(3, 2, users), np.repeat(np.arange(users), votes)
    kind = rng.integers(4, size=user.size)
    z = np.array([-1.2, -0.4, 0.4, 1.2])
    attended = rng.random(user.size) < response_cases.with_odds(eta[user], slope * z[kind])
    better_listed = rng.random(user.size) < 0.5
    won = np.where(attended, (rng.random(user.size) < 0.8) == better_listed, rng.random(user.size) < 0.5)
    better, worse = ("a", "b") if first else ("b", "a")
    pairs = np.where(better_listed[:, None], [[better, worse]], [[worse, better]]).astype(object)
    labels = [f"z {x}" for x in z]
    prefs = emjax.Preferences.from_votes(user, pairs, won, context=np.array(labels, object)[kind])
    return prefs.with_strata(emjax.VoteStrata.given(labels, z, names=["z"]))


@pytest.mark.parametrize("strength", [None, emjax.Shared()], ids=["default", "shared"])
def test_one_pair_is_fitted_alike_whichever_model_is_listed_first(strength):
    """A Grid that starts on the wrong side must not end with attentiveness 0."""
    ends = []
    for first in (True, False):
        prefs = one_pair(1, first)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", emjax.EmjaxWarning)
            fit = emjax.fit_em(prefs, emjax.Grid(33), strength=strength)
        assert fit.posterior(prefs).mean.mean() > 0.1
        ends.append(fit.log_likelihood)
    assert abs(ends[0] - ends[1]) < (1e-2 if strength is None else 3.0)  # Shared has a prior with a side


def test_a_known_strength_favours_the_same_side_in_all_strata():
    prefs = one_pair(2, True, slope=5.0, users=60, votes=12)
    with pytest.warns(emjax.EmjaxWarning, match="attentive user prefers 'a' to 'b'"):
        plain = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(3, 2)), strength=emjax.Known(0.8))
    named = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(3, 2)), strength=emjax.Known({("a", "b"): 0.8}))
    np.testing.assert_allclose(plain.log_likelihood, named.log_likelihood, rtol=1e-12)
    assert {label[:2] for label in plain.strength.comparisons} == set(plain.strength.comparisons)


def test_a_scale_that_features_hardly_determine_gives_a_finding():
    prefs = one_pair(3, True, slope=0.0)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Shared())
    assert any("hardly determined" in f.what for f in fit.identified.findings)


def test_majority_agreement_does_not_depend_on_strata():
    """The same votes without strata have the same agreement with the majority."""
    sim = drawn(TRIO)
    table = sim.columns()
    pairs = np.column_stack([table["model_a"], table["model_b"]])
    plain = emjax.Preferences.from_votes(table["user"], pairs, table["winner"] == "model_a")
    agree = [majority_agreement(prefs) for prefs in (sim.preferences, plain)]
    np.testing.assert_allclose(*agree, rtol=1e-12)


@pytest.mark.parametrize("slope", [30.0, 800.0, 1e6])
def test_enormous_slopes_give_finite_results(slope):
    prefs = drawn(TRIO, users=50).preferences
    behavior = emjax.AttentiveOrRandom(features=emjax.VoteFeatures(KINDS, slopes=[slope, 0.0]))
    strength = emjax.BradleyTerry(strengths=np.array([*THREE.values()]), models=tuple(THREE))
    after = posterior(prefs, emjax.Beta(2, 3), strength, behavior)
    one = emjax.vote_posteriors(after)
    for values in (after.mean, after.sd, one.prob_attentive, one.prob_right):
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()
