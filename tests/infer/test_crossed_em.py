"""PerItem strengths: messages against enumeration, truth found again, and what is refused."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
import response_cases

import emjax
from emjax.infer.belief_propagation import believed, opening, sweep
from emjax.infer.user_item_graph import graph
from emjax.model.model import Model

PRIOR = emjax.Points(3, points=[0.1, 0.5, 0.95], weights=[0.3, 0.2, 0.5])
TREE = [(0, 0), (0, 1), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (3, 4)]  # (user, item), without a cycle
NAMES = [("ant", "bee"), ("ant", "cat"), ("bee", "cat"), ("ant", "bee"), ("bee", "cat")]


def votes_on(edges, won, *, ties="half") -> emjax.Preferences:
    """Votes of users on items that are pairs of named models."""
    user, item = np.array(edges).T
    return emjax.Preferences.from_votes(
        user, np.array(NAMES)[item], won, context=np.array([f"item {i}" for i in item]), ties=ties
    )


def enumerated(prefs, strength, chances, prior=PRIOR):
    """Log L, users' posteriors and items' posteriors, by adding up all values of everything latent.

    Without the package: `chances(eta, logit)` gives the probability of every outcome.
    """
    nodes, eta = np.asarray(strength.nodes), np.asarray(prior.points)
    logit = np.log(nodes / (1 - nodes))
    tilt = 0.5 * logit / logit[-1]
    s = dict(zip(strength.models, strength.strengths, strict=True))
    log_prior = np.array([strength.log_weights + (s[a] - s[b]) * tilt for a, b in prefs.comparisons])
    log_prior -= np.log(np.exp(log_prior).sum(axis=1, keepdims=True))
    log_p = np.log([[chances(e, x) for x in logit] for e in eta])  # (G, H, O)
    total, users, items = 0.0, np.zeros((prefs.n_users, len(eta))), np.zeros((len(log_prior), len(nodes)))
    for at in product(range(len(nodes)), repeat=len(log_prior)):
        own = sum(log_prior[i, h] for i, h in enumerate(at))
        of_user = np.tile(np.log(prior.weights), (prefs.n_users, 1))
        for j, i, counts in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
            of_user[j] += log_p[:, at[i]] @ counts
        each = np.exp(of_user)
        mass = np.exp(own) * each.sum(axis=1).prod()
        total += mass
        users += mass * each / each.sum(axis=1, keepdims=True)
        for i, h in enumerate(at):
            items[i, h] += mass
    return np.log(total), users / total, items / total


def settled(prefs, strength, behavior, sweeps=60):
    with jax.enable_x64(True):
        votes, model = graph(prefs, strength.index(prefs.table)), Model(PRIOR, strength.bare(), behavior)
        messages = opening(votes, model)
        for _ in range(sweeps):
            swept = sweep(votes, model, messages, jnp.asarray(0.0))
            messages = swept.messages
    return swept


def a_strength(prefs, nodes=3):
    start = emjax.PerItem(nodes).start(prefs.table)
    weights = np.linspace(0.4, -0.3, (nodes + 1) // 2)
    mirrored = np.concatenate([weights, weights[::-1][nodes % 2 :]])
    return emjax.PerItem(
        nodes, log_weights=mirrored, strengths=np.array([0.8, 0.1, -0.9]), models=start.models
    )


@pytest.mark.parametrize("nodes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_messages_are_exact_without_cycles(nodes, seed):
    rng = np.random.default_rng(seed)
    prefs = votes_on(TREE, rng.integers(0, 2, len(TREE)))
    strength = a_strength(prefs, nodes)
    value, users, items = enumerated(prefs, strength, response_cases.mixture)
    swept = settled(prefs, strength, emjax.AttentiveOrRandom())
    np.testing.assert_allclose(swept.totals.value, value, rtol=1e-12)
    found = believed(prefs, PRIOR, strength, emjax.AttentiveOrRandom())
    np.testing.assert_allclose(found.users, users, atol=1e-12)
    np.testing.assert_allclose(found.items, items, atol=1e-12)


def test_messages_are_exact_with_ties_and_several_votes_on_one_item():
    rule = emjax.AttentiveOrRandom(ties=emjax.Davidson(0.6), careless_ties=0.25)
    prefs = votes_on([*TREE, (0, 0), (3, 4)], [1, 0.5, 0, 1, 0.5, 1, 0, 1, 1, 0.5], ties="model")
    assert (prefs.counts.sum(axis=1) == 2).sum() == 2
    strength = a_strength(prefs)

    def chances(eta, logit):
        return response_cases.mixture(eta, logit, rule=response_cases.davidson, tie=0.6, careless_ties=0.25)

    value, users, items = enumerated(prefs, strength, chances)
    swept = settled(prefs, strength, rule)
    np.testing.assert_allclose(swept.totals.value, value, rtol=1e-12)
    found = believed(prefs, PRIOR, strength, rule)
    np.testing.assert_allclose(found.users, users, atol=1e-12)
    np.testing.assert_allclose(found.items, items, atol=1e-12)


def test_messages_are_close_with_cycles():
    """Every user judges every item, the worst case for messages: still within a few hundredths."""
    rng = np.random.default_rng(1)
    edges = list(product(range(4), range(5)))
    prefs = votes_on(edges, rng.integers(0, 2, len(edges)))
    strength = a_strength(prefs)
    value, users, items = enumerated(prefs, strength, response_cases.mixture)
    found = believed(prefs, PRIOR, strength, emjax.AttentiveOrRandom())
    assert abs(float(settled(prefs, strength, emjax.AttentiveOrRandom()).totals.value) - value) < 0.1
    assert np.abs(found.users - users).max() < 0.08 and np.abs(found.items - items).max() < 0.08


def test_leaving_a_vote_out_gives_the_posterior_without_it():
    """Without cycles the posterior less one vote is the posterior of votes less that vote."""
    rng = np.random.default_rng(5)
    won = rng.integers(0, 2, len(TREE))
    prefs = votes_on(TREE, won)
    strength = a_strength(prefs)

    def fit_to(votes):
        return believed(votes, PRIOR, strength, emjax.AttentiveOrRandom())

    whole = fit_to(prefs)
    log_votes = whole.log_votes(np.ones(3, dtype=bool), without_own=True)
    for left in range(len(TREE)):
        rest = [e for i, e in enumerate(TREE) if i != left]
        user = TREE[left][0]
        without = votes_on(rest, np.delete(won, left))
        if user not in without.users:
            continue
        row = int(np.flatnonzero((prefs.user == user) & (prefs.comparison == _item(prefs, left)))[0])
        # Of two who said the same of an item, each has the other's vote: only their average is stored.
        same = (prefs.comparison == prefs.comparison[row]) & (prefs.counts == prefs.counts[row]).all(axis=1)
        if same.sum() > 1:
            continue
        outcome = int(np.argmax(prefs.counts[row]))
        other = whole.users[user] * np.exp(-log_votes[prefs.comparison[row], outcome])
        expected = fit_to(without).users[list(without.users).index(user)]
        np.testing.assert_allclose(other / other.sum(), expected, atol=1e-10)


def _item(prefs, edge):
    item = TREE[edge][1]
    a, b = NAMES[item]
    same = (prefs.comparisons == [a, b]).all(axis=1) & (prefs.contexts == f"item {item}")
    return int(np.flatnonzero(same)[0])


@pytest.fixture(scope="module")
def crowd():
    """1,500 users, a third of them careless, who judged 6,000 items, five votes each."""
    rng = np.random.default_rng(0)
    m, n = 1500, 6000
    eta = np.where(rng.random(m) < 0.65, 0.92, 0.08)
    better = rng.random(n) < 0.5
    item = np.repeat(np.arange(n), 5)
    user = rng.integers(0, m, len(item))
    mu = np.where(better, 0.982, 0.018)[item]
    won = (rng.random(len(item)) < 0.5 + eta[user] * (mu - 0.5)).astype(int)
    return emjax.Preferences.from_votes(user, item, won), eta, better


@pytest.fixture(scope="module")
def fitted(crowd):
    return emjax.fit_em(crowd[0], emjax.TwoPoint(), strength=emjax.PerItem(2))


def test_careless_users_and_right_answers_are_recovered_without_model_names(crowd, fitted):
    prefs, eta, better = crowd
    # Bethe's value is not bound to rise; the messages lag a step behind the parameters.
    assert fitted.converged and (np.diff(fitted.trace) > -fitted.tol).all()
    prior = fitted.prior
    np.testing.assert_allclose([prior.low, prior.high, prior.weight], [0.08, 0.92, 0.65], atol=0.03)
    found = fitted.posterior(prefs).mean
    assert ((found > 0.5) == (eta[prefs.users] > 0.5)).mean() > 0.96
    items = fitted.comparisons(prefs).to_pydict()
    prob = np.array(items["prob_a"])
    majority = np.array(items["wins_a"]) > 0.5 * np.array(items["n_votes"])
    right = (prob > 0.5) == better
    assert right.mean() > (majority == better).mean() + 0.04
    # Probabilities mean what they say: in tenths of the items, share right against probability of right.
    sure = np.array(items["prob_consensus"])
    for part in np.array_split(np.argsort(sure), 10):
        expected = sure[part].mean()
        assert abs(right[part].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(part)) + 0.005


def test_the_items_marginal_likelihood_is_stationary_at_the_end(crowd, fitted):
    """The items' marginal likelihood, from the messages at the end, is flat in its own parameters."""
    prefs, _, _ = crowd
    with jax.enable_x64(True):
        strength = fitted.strength
        votes = graph(prefs, strength.index(prefs.table))
        model = Model(fitted.prior, strength, fitted.behavior)
        messages = opening(votes, model)
        for _ in range(40):
            swept = sweep(votes, model, messages, jnp.asarray(0.0))
            messages = swept.messages

        def value(lean):
            s = np.asarray(strength.strengths) + np.array([lean, 0.0])
            at = strength.log_weights + (s[0] - s[1]) * np.array([-0.5, 0.5])
            at = at - np.log(np.exp(at).sum())
            items = np.asarray(swept.totals.items)
            return np.logaddexp.reduce(items + at, axis=1).sum() - 0.005 * (s**2).sum()

    slope = (value(1e-4) - value(-1e-4)) / 2e-4
    assert abs(slope) < 0.5 and value(0.0) > max(value(0.1), value(-0.1))


def test_the_estimated_penalty_is_that_of_the_marginal_likelihood():
    """Two models, and items that are known apart from them: the marginal likelihood by quadrature."""
    rng = np.random.default_rng(0)
    nodes = np.array([0.02, 0.98])
    better = rng.random(400) < 1 / (1 + np.exp(-1.6))
    items = np.log(np.where((nodes > 0.5) == better[:, None], 0.9, 0.1))
    prefs = emjax.Preferences.from_votes(
        np.arange(400), np.tile(["a", "b"], (400, 1)), better, context=np.arange(400).astype(str)
    )
    with jax.enable_x64(True):
        strength = emjax.PerItem(nodes).start(prefs.table)
        given = jnp.array(items), jnp.zeros(400, int), jnp.array([[0, 1]])
        step = jax.jit(lambda at: at.learned(*given).with_estimated_penalty(*given))
        for _ in range(30):
            strength = step(strength)
    difference = np.linspace(-8, 8, 4001)
    right = 1 / (1 + np.exp(-difference))[:, None]
    log_likelihood = np.log(right * np.exp(items[:, 1]) + (1 - right) * np.exp(items[:, 0])).sum(axis=1)
    variance = np.exp(np.linspace(-3, 4, 701))  # of the difference, twice that of a strength
    log_prior = -0.5 * difference**2 / variance[:, None] - 0.5 * np.log(variance)[:, None]
    best = variance[np.argmax(np.logaddexp.reduce(log_likelihood + log_prior, axis=1))]
    assert float(strength.penalty) == pytest.approx(2 / best, rel=0.03)


@pytest.mark.parametrize("sd", [0.0, 2.0])
def test_model_effects_are_shrunk_as_far_as_the_votes_say(sd):
    """Four votes on each of 300 items of 60 models: too few to estimate strengths without shrinkage."""
    rng = np.random.default_rng(1)
    strengths = sd * rng.normal(size=60)
    first = rng.integers(60, size=300)
    second = (first + rng.integers(1, 60, 300)) % 60
    better = rng.random(300) < 1 / (1 + np.exp(strengths[second] - strengths[first]))
    item = np.repeat(np.arange(300), 4)
    user = rng.integers(0, 80, len(item))
    attentive = rng.random(len(item)) < np.where(np.arange(80) < 50, 0.95, 0.1)[user]
    won = np.where(attentive, better[item], rng.random(len(item)) < 0.5)
    pair = np.stack([first, second], axis=1)[item].astype(str)
    prefs = emjax.Preferences.from_votes(user, pair, won, context=item.astype(str))
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(2))
    assert fit.converged
    if sd == 0.0:
        assert np.std(fit.strength.strengths) < 0.3
    else:
        truth = [strengths[int(name)] for name in fit.strength.models]
        assert float(fit.strength.penalty) ** -0.5 == pytest.approx(sd, rel=0.4)
        assert np.corrcoef(fit.strength.strengths, truth)[0, 1] > 0.8
    loose = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(2, l2=0.01))
    assert np.std(loose.strength.strengths) > np.std(fit.strength.strengths) + 0.5
    assert float(loose.strength.penalty) == 0.01


def test_swapping_the_two_models_of_each_pair_mirrors_the_items():
    rng = np.random.default_rng(3)
    user, item = rng.integers(0, 60, 900), rng.integers(0, 200, 900)
    pair = np.array([("a", "b"), ("b", "c"), ("a", "c")])[item % 3]
    won = rng.random(900) < 0.7
    one = emjax.Preferences.from_votes(user, pair, won, context=item.astype(str))
    other = emjax.Preferences.from_votes(user, pair[:, ::-1], ~won, context=item.astype(str))
    strength = a_strength(one)
    found = [believed(p, PRIOR, strength, emjax.AttentiveOrRandom()) for p in (one, other)]
    np.testing.assert_allclose(found[0].users, found[1].users, atol=1e-9)
    np.testing.assert_allclose(found[0].items, found[1].items[:, ::-1], atol=1e-9)
    fits = [emjax.fit_em(p, emjax.Grid(9), strength=emjax.PerItem(3)) for p in (one, other)]
    assert abs(fits[0].log_likelihood - fits[1].log_likelihood) < 2 * fits[0].tol


@pytest.mark.long
def test_named_models_improve_the_consensus_of_items_with_few_votes():
    """Two votes per item: the models' strengths improve the consensus."""
    rng = np.random.default_rng(2)
    names, s = np.array(["a", "b", "c", "d"]), np.array([2.0, 0.7, -0.7, -2.0])
    pairs = np.array([(i, j) for i in range(4) for j in range(i + 1, 4)])
    of_item = rng.permuted(pairs[rng.integers(0, 6, 2000)], axis=1)
    better = rng.random(2000) < 1 / (1 + np.exp(s[of_item[:, 1]] - s[of_item[:, 0]]))
    item, user = np.repeat(np.arange(2000), 2), rng.integers(0, 200, 4000)
    eta = np.where(rng.random(200) < 0.6, 0.9, 0.1)
    won = rng.random(4000) < 0.5 + eta[user] * (np.where(better, 0.982, 0.018)[item] - 0.5)
    named = emjax.Preferences.from_votes(user, names[of_item[item]], won, context=item.astype(str))
    plain = emjax.Preferences.from_votes(user, item, won)
    right = []
    for prefs in (named, plain):
        fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(2))
        table = fit.comparisons(prefs).to_pydict()
        number = np.array(table["item" if "item" in table else "model_a"], dtype=np.int64)
        winner = np.where(better[number], *(names[of_item[number]].T if "item" in table else ("A", "B")))
        right.append((np.array(table["consensus"]) == winner).mean())
    assert right[0] > right[1] + 0.05


def test_a_saved_fit_says_the_same(fitted, crowd, tmp_path):
    again = emjax.load_fit(fitted.save(tmp_path))
    np.testing.assert_array_equal(again.posterior(crowd[0]).mean, fitted.posterior(crowd[0]).mean)
    assert "PerItem" in repr(again) and np.isnan(again.standard_errors().std_err).all()
    assert all(e.note == "no standard error" or e.at_bound for e in again.standard_errors())


def test_users_agree_with_the_others_and_not_with_themselves(fitted, crowd):
    """Careless users agree half of the time, although their own votes are in the consensus."""
    prefs, eta, _ = crowd
    agreement = np.array(fitted.users(prefs).to_pydict()["agreement"])
    assert abs(agreement[eta[prefs.users] < 0.5].mean() - 0.54) < 0.03
    assert agreement[eta[prefs.users] > 0.5].mean() > 0.85


@pytest.mark.long
def test_held_out_votes_are_predicted_better_than_without_attentiveness(crowd):
    found = emjax.cross_validate(crowd[0], emjax.TwoPoint(), strength=emjax.PerItem(2), folds=5)
    gains = found.gains
    assert gains["one attentiveness for all"].lower > 0.01
    assert gains["every user attentive"].lower > 0.01
    assert gains["agreement with the majority"].lower > 0.01
    assert abs(found.overconfidence["attentiveness"].mean) < 0.02


@pytest.mark.parametrize("prior", [emjax.Points(3, low=-1), emjax.Grid(21, low=-1)], ids=["points", "grid"])
@pytest.mark.parametrize("seed", range(3))
def test_adversarial_users_come_out_negative_and_the_majority_is_right(prior, seed):
    """A prior symmetric about 0 has uninformative first messages; the fit does not end there."""
    rng = np.random.default_rng(seed)
    eta = rng.permutation(np.repeat([0.9, 0.0, -0.8], [36, 12, 12]))
    better, item = rng.random(300) < 0.5, np.repeat(np.arange(300), 5)
    user = rng.integers(0, 60, 1500)
    won = rng.random(1500) < 0.5 + eta[user] * (np.where(better, 0.98, 0.02)[item] - 0.5)
    prefs = emjax.Preferences.from_votes(user, item, won)
    fit = emjax.fit_em(prefs, prior, strength=emjax.PerItem(2))
    found = fit.posterior(prefs).mean
    assert np.corrcoef(found, eta[prefs.users])[0, 1] > 0.95 and found.mean() > 0.2
    table = fit.comparisons(prefs).to_pydict()
    assert ((np.array(table["prob_a"]) > 0.5) == better[np.array(table["model_a"], int)]).mean() > 0.9
    votes = emjax.vote_posteriors(fit.posterior(prefs))
    contrarian = eta[prefs.users[votes.user]] < 0
    assert votes.prob_right[contrarian].mean() < 0.25 and votes.prob_attentive[contrarian].mean() > 0.6


def test_hundreds_of_votes_on_one_item_do_not_underflow():
    wins = np.array([[690, 5], [650, 40], [360, 350], [20, 690], [700, 10]])
    totals = np.full((5, 2), 720)
    prefs = emjax.Preferences.from_counts(wins, totals)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem())
    found = fit.posterior(prefs)
    assert np.isfinite(found.mean).all() and np.isfinite(fit.comparison_columns(prefs)["prob_a"]).all()
    assert np.isfinite(fit.log_likelihood)


def test_messages_are_exact_with_many_response_patterns():
    """More response patterns than are looped over: every user votes a different number of times."""
    edges = [edge for edge in TREE for _ in range(3 * TREE.index(edge) + 1)]
    prefs = votes_on(edges, np.random.default_rng(8).integers(0, 2, len(edges)))
    assert len(np.unique(prefs.counts, axis=0)) == 8
    half = votes_on([*edges, (1, 1)], [*np.random.default_rng(8).integers(0, 2, len(edges)), 0.5])
    more = votes_on([*edges, (4, 4)], [*np.random.default_rng(8).integers(0, 2, len(edges)), 0.5])
    assert len(np.unique(more.counts, axis=0)) == 9
    for votes in (prefs, half, more):
        strength = a_strength(votes)
        value, users, _ = enumerated(votes, strength, response_cases.mixture)
        np.testing.assert_allclose(
            settled(votes, strength, emjax.AttentiveOrRandom()).totals.value, value, rtol=1e-11
        )
        found = believed(votes, PRIOR, strength, emjax.AttentiveOrRandom())
        np.testing.assert_allclose(found.users, users, atol=1e-10)


def test_a_fit_stopped_at_its_first_step_can_be_saved(crowd, tmp_path):
    with pytest.warns(emjax.EmjaxWarning, match="limit"):
        fit = emjax.fit_em(crowd[0], emjax.TwoPoint(), strength=emjax.PerItem(2), max_steps=1)
    assert not fit.converged and emjax.load_fit(fit.save(tmp_path)).outcome == "step limit"


def test_votes_with_other_items_than_the_fit_are_refused():
    prefs = votes_on(TREE, np.ones(len(TREE)))
    fitted = emjax.fit_em(prefs, PRIOR, strength=emjax.PerItem(2), tol=1)
    plain = emjax.Preferences.from_votes([0, 1], [["ant", "bee"]] * 2, [1, 0])
    with pytest.raises(emjax.ModelError, match="identifies pairs of answers"):
        fitted.posterior(plain)
    without = emjax.fit_em(plain, PRIOR, strength=emjax.PerItem(2), tol=1)
    with pytest.raises(emjax.ModelError, match="these name none"):
        without.posterior(emjax.Preferences.from_votes([0, 1], [3, 3], [1, 0]))


def test_unsupported_arguments_are_refused(crowd):
    prefs = crowd[0]
    latent = emjax.PerItem(2)
    for call, words in (
        (lambda: emjax.fit_em([prefs], emjax.TwoPoint(), strength=latent), "need the votes in memory"),
        (
            lambda: emjax.identifiability(prefs, emjax.TwoPoint(), strength=latent),
            "PerItem strengths are",
        ),
        (
            lambda: emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=latent, key=0),
            "cannot be done exactly under PerItem",
        ),
        (lambda: emjax.PerItem(1), "at least two nodes"),
        (lambda: emjax.PerItem([0.2, 0.9]), "symmetric about 1/2"),
        (lambda: emjax.PerItem([0.0, 1.0]), "between 0 and 1"),
        (lambda: emjax.PerItem(2, l2=0.0), "ridge penalty l2 > 0"),
        (lambda: emjax.PerItem(5, log_weights=np.zeros(3)), "one of log_weights per node, 5 here"),
        (lambda: emjax.PerItem(5, strengths=[1.0, 0.0]), "one of strengths per model, 0 here"),
    ):
        with pytest.raises(emjax.ModelError, match=words):
            call()


def test_votes_without_overlap_give_a_warning():
    table = pa.table(
        {
            "user": np.repeat(np.arange(30), 10),
            "model_a": ["x", "y", "x"] * 100,
            "model_b": ["y", "z", "z"] * 100,
            "winner": ["a", "a", "b"] * 100,
            "pair": np.arange(300),
        }
    )
    prefs = emjax.read_votes(table, context="pair")
    with pytest.warns(emjax.EmjaxWarning, match="Only 0 of 300 items were judged by more than one user"):
        emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(2))
