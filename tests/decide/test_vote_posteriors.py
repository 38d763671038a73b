"""Single votes: against enumeration, and against the simulated truth."""

import dataclasses

import numpy as np
import pytest
import response_cases

import emjax

STRENGTHS = np.array([2.0, 0.8, 0.0, -0.8, -2.0])


def votes_of(seed, eta, each):
    """Votes and which are attentive: five models, every user at a given attentiveness."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(eta)), each)
    a = rng.integers(5, size=user.size)
    b = (a + rng.integers(1, 5, user.size)) % 5
    looked = rng.random(user.size) < eta[user]
    chance = 1 / (1 + np.exp(STRENGTHS[b] - STRENGTHS[a]))
    would = rng.random(user.size) < chance  # the attentive vote, whether it was cast or not
    won = np.where(looked, would, rng.random(user.size) < 0.5)
    names = np.array(["a", "b", "c", "d", "e"])
    prefs = emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won)
    return prefs, user, names[a], names[b], won, looked, would


def of_each_vote(found, user, a, b, won, values):
    """A value per group of equal votes, for each of the votes."""
    table = found.columns
    winner = np.where(table["outcome"] == "A won", table["model_a"], table["model_b"])
    loser = np.where(table["outcome"] == "A won", table["model_b"], table["model_a"])
    place = {key: i for i, key in enumerate(zip(table["user"], winner, loser, strict=True))}
    first, second = np.where(won, a, b), np.where(won, b, a)
    return values[[place[key] for key in zip(user, first, second, strict=True)]]


def test_probabilities_agree_with_enumeration():
    """Whether each vote was attentive, summed over all possibilities; adversarial users too."""
    prior = emjax.Points(3, points=[-0.7, 0.2, 0.9], weights=[0.2, 0.3, 0.5], low=-1)
    rule = emjax.AttentiveOrRandom(guess=0.7, ties=emjax.Davidson(0.8), careless_ties=0.3)
    sim = emjax.simulate(
        1, n_users=12, votes_per_user=6, strengths={"x": 1, "y": 0, "z": -1}, prior=prior, behavior=rule
    )
    prefs = sim.preferences
    known = dict(zip(map(tuple, prefs.comparisons), (0.8, 0.6, 0.7), strict=True))
    fit = emjax.fit_em(prefs, emjax.Fixed(prior), strength=emjax.Known(known), behavior=rule)
    found = emjax.vote_posteriors(fit.posterior(prefs))
    logit = np.log(np.array([*known.values()])) - np.log1p(-np.array([*known.values()]))
    given = {"guess": 0.7, "rule": response_cases.davidson, "tie": float(fit.behavior.ties.tie)}
    given["careless_ties"] = float(fit.behavior.careless_ties)

    def chances(eta, at):
        return response_cases.mixture(eta, at, **given)

    for user, comparison, outcome, looked, right in zip(
        *(found.user, found.comparison, found.outcome, found.prob_attentive, found.prob_right), strict=True
    ):
        mine = prefs.user == user
        joint = np.array(prior.weights)
        for c, counts in zip(prefs.comparison[mine], prefs.counts[mine], strict=True):
            joint = joint * [np.prod(chances(eta, logit[c]) ** counts) for eta in prior.points]
        attentive = [
            abs(eta)
            * chances(np.sign(eta), logit[comparison])[outcome]
            / chances(eta, logit[comparison])[outcome]
            for eta in prior.points
        ]
        expected = joint @ attentive / joint.sum()
        by_a_look = chances(1.0, logit[comparison])[outcome]
        np.testing.assert_allclose(looked, expected, atol=1e-12)
        agrees = np.array(
            [eta > 0 or outcome >= 4 for eta in prior.points]
        )  # a tie is the same for every user
        said = joint @ (agrees * attentive) / joint.sum()
        np.testing.assert_allclose(right, said + (1 - expected) * by_a_look, atol=1e-9)


@pytest.fixture(scope="module")
def half():
    """3,000 users who are attentive half of the time, fitted with that known."""
    prefs, *votes = votes_of(0, np.full(3000, 0.5), 30)
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Points(1, points=[0.5])))
    return emjax.vote_posteriors(fit.posterior(prefs)), votes


def test_probabilities_are_frequencies(half):
    found, (user, a, b, won, looked, would) = half
    for values, truth in ((found.prob_attentive, looked), (found.prob_right, won == would)):
        chance = of_each_vote(found, user, a, b, won, values)
        for part in np.array_split(np.argsort(chance, kind="stable"), 8):
            expected = chance[part].mean()
            assert abs(truth[part].mean() - expected) < 4 * np.sqrt(0.25 / len(part)) + 0.005


def test_careless_votes_are_detected_as_well_as_the_strengths_allow(half):
    """Area under the curve against that of the true posterior probabilities, strengths known."""
    found, (user, a, b, won, looked, _) = half
    s = dict(zip("abcde", STRENGTHS, strict=True))
    margin = np.array([s[x] for x in a]) - np.array([s[x] for x in b])
    chosen = 1 / (1 + np.exp(np.where(won, -margin, margin)))
    best = 0.5 * chosen / (0.5 * chosen + 0.25)
    mine = of_each_vote(found, user, a, b, won, found.prob_attentive)

    def area(score):
        ranks = np.argsort(np.argsort(score, kind="stable")).astype(float)
        for value in np.unique(score):
            same = score == value
            ranks[same] = ranks[same].mean()
        return (ranks[looked].mean() - (looked.sum() - 1) / 2) / (~looked).sum()

    assert area(mine) > area(best) - 0.003 and area(best) > 0.68


def test_of_attentive_users_nearly_every_vote_is_attentive_and_of_careless_ones_none():
    eta = np.where(np.arange(300) < 200, 1.0, 0.0)
    prefs, *_ = votes_of(2, eta, 60)
    found = emjax.vote_posteriors(emjax.fit_em(prefs, emjax.TwoPoint()).posterior(prefs))
    attentive = eta[prefs.users[found.user]] == 1
    assert found.prob_attentive[attentive].mean() > 0.95 and found.prob_attentive[~attentive].mean() < 0.1
    table = found.table().to_pydict()
    assert list(table) == ["user", "model_a", "model_b", "outcome", "n_votes", "prob_attentive", "prob_right"]
    assert sum(table["n_votes"]) == prefs.n_votes and "attentive" in repr(found)


def test_on_items_the_other_users_give_the_attentive_choice():
    """Under PerItem strengths, with equal models: right votes are those the others share."""
    rng = np.random.default_rng(3)
    item, user = np.repeat(np.arange(1500), 6), rng.integers(0, 300, 9000)
    better = rng.random(1500) < 0.5
    looked = rng.random(9000) < np.where(np.arange(300) < 180, 0.9, 0.3)[user]
    would = rng.random(9000) < np.where(better, 0.98, 0.02)[item]
    won = np.where(looked, would, rng.random(9000) < 0.5)
    prefs = emjax.Preferences.from_votes(user, item, won)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(2))
    found = emjax.vote_posteriors(fit.posterior(prefs))
    key = {k: i for i, k in enumerate(zip(found.user, found.comparison, found.outcome, strict=True))}
    place = [key[(u, i, 0 if w else 1)] for u, i, w in zip(user, item, won, strict=True)]
    once = np.array([found.count[p] for p in place]) == 1
    for values, truth in ((found.prob_attentive, looked), (found.prob_right, won == would)):
        chance = values[place][once]
        for part in np.array_split(np.argsort(chance), 6):
            assert abs(truth[once][part].mean() - chance[part].mean()) < 0.05


def test_posteriors_without_votes_or_shares_are_refused():
    prefs, *_ = votes_of(4, np.full(40, 0.8), 20)
    sharp = emjax.fit_em(prefs, emjax.Grid(9), behavior=emjax.Sharpness()).posterior(prefs)
    with pytest.raises(emjax.ModelError, match="attentiveness is not the share of attentive votes"):
        emjax.vote_posteriors(sharp)
    with pytest.raises(emjax.ModelError, match="does not know the votes"):
        emjax.vote_posteriors(dataclasses.replace(sharp, prefs=None))
