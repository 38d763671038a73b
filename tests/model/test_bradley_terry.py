"""Bradley–Terry: the M-step against general optimisers, connected components, model names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import oracles
from emjax import AttentiveOrRandom, BradleyTerry, ModelError, Preferences
from emjax.model.bradley_terry import backtrack
from emjax.model.likelihood import Nodes

pytestmark = pytest.mark.usefixtures("double")

ETA = np.array([0.0, 0.3, 1.0])
PAIRS = np.array([[0, 1], [2, 1], [0, 2], [3, 0]])  # the third model is listed first against the second
NAMES = ["ant", "bee", "cat", "dog"]


@jax.jit
def maximise(strength, votes, index):
    return strength.maximise(votes, Nodes(jnp.asarray(ETA), 1.0 - ETA), index, AttentiveOrRandom())


def prefs_of(counts, pairs=PAIRS):
    names = [[NAMES[a], NAMES[b]] for a, b in pairs]
    return Preferences.from_counts(counts[..., 0], counts.sum(-1), comparisons=names)


def aligned(prefs, votes):
    """Votes per comparison, given in the order of PAIRS, in the order of the preferences."""
    place = {tuple(NAMES[i] for i in pair): k for k, pair in enumerate(PAIRS)}
    return jnp.asarray(votes[[place[tuple(pair)] for pair in prefs.comparisons]])


def objective(s, votes, l2):
    mu = 1.0 / (1.0 + np.exp(s[PAIRS[:, 1]] - s[PAIRS[:, 0]]))
    a_wins = 0.5 + ETA * (mu[:, None] - 0.5)
    expected = np.sum(votes[:, 0] * np.log(a_wins) + votes[:, 1] * np.log(1.0 - a_wins))
    return expected - 0.5 * l2 * np.sum(s**2)


@pytest.mark.parametrize("l2", [0.01, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_m_steps_never_lower_the_objective_and_end_at_its_maximum(l2, seed):
    rng = np.random.default_rng(seed)
    votes = rng.gamma(1.0, 15.0, (4, 2, 3))
    prefs = prefs_of(np.ones((1, 4, 2)))
    strength = BradleyTerry(l2).start(prefs.table)
    index, votes_there = jnp.asarray(strength.index(prefs.table)), aligned(prefs, votes)
    start = rng.normal(0, 3, 4)
    at = strength.at(start - start.mean()).bare()
    values = [objective(np.asarray(at.strengths), votes, l2)]
    for _ in range(40):
        at = maximise(at, votes_there, index)
        values.append(objective(np.asarray(at.strengths), votes, l2))
    assert (np.diff(values) >= -1e-10).all()
    best = max(
        -minimize(lambda s: -objective(s, votes, l2), start, method="BFGS", options={"gtol": 1e-8}).fun
        for start in (np.zeros(4), rng.normal(0, 1, 4), rng.normal(0, 1, 4))
    )
    assert values[-1] >= best - 1e-7


@pytest.mark.parametrize("l2", [0.01, 0.5])
def test_unadjusted_votes_give_ordinary_bradley_terry(l2):
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 12, (5, 4, 2)).astype(float)
    prefs = prefs_of(counts)
    found = BradleyTerry(l2).start(prefs.table).unadjusted(prefs.table)
    np.testing.assert_allclose(found.strengths, oracles.bradley_terry(counts, PAIRS, 4, l2), atol=1e-6)


def test_a_model_that_always_wins_stays_finite():
    counts = np.zeros((1, 4, 2))
    counts[0, :, 0] = 10.0
    found = BradleyTerry().start(prefs_of(counts).table).unadjusted(prefs_of(counts).table)
    np.testing.assert_allclose(found.strengths, oracles.bradley_terry(counts, PAIRS, 4, 0.01), atol=1e-4)


def test_components_without_a_common_model_are_separate():
    prefs = prefs_of(np.ones((2, 2, 2)), [(0, 1), (2, 3)])
    strength = BradleyTerry().start(prefs.table)
    assert strength.models == tuple(NAMES)
    components = strength.components
    assert components[0] == components[1] != components[2] == components[3]
    moved = strength.at(np.array([1.0, 3.0, 10.0, 20.0]))
    np.testing.assert_allclose(moved.natural(), [-1.0, 1.0, -5.0, 5.0])


def test_strengths_lead_to_logits_in_the_orientation_of_the_votes():
    prefs = prefs_of(np.ones((1, 4, 2)))
    strength = BradleyTerry().start(prefs.table).at(np.array([0.1, 0.7, -0.4, 2.0]))
    logits = strength.logits(strength.index(prefs.table))
    value = dict(zip(NAMES, [0.1, 0.7, -0.4, 2.0], strict=True))
    np.testing.assert_allclose(logits, [value[a] - value[b] for a, b in prefs.comparisons])


def test_the_ridge_is_a_normal_prior():
    at = BradleyTerry(0.5, [1.0, -2.0], ("a", "b"), [0, 0])
    np.testing.assert_allclose(at.log_prior(), -0.25 * 5.0)
    assert at.names() == ("strength of a", "strength of b")
    assert at.limits() == [(-np.inf, np.inf)] * 2


def test_the_search_along_a_line_never_goes_down():
    down = lambda x: -jnp.sum((x - 1.0) ** 2)  # noqa: E731
    start = jnp.zeros(1)
    point, value = backtrack(down, start, jnp.full(1, 16.0), down(start))
    assert float(value) >= -1.0 and 0.0 <= float(point[0]) <= 2.0
    stays, same = backtrack(down, jnp.ones(1), jnp.full(1, 16.0), down(jnp.ones(1)))
    np.testing.assert_array_equal(stays, [1.0])
    assert float(same) == 0.0


def test_unknown_models_and_plain_labels_are_refused():
    fitted = BradleyTerry(strengths=[0.5, -0.5], models=("ant", "bee"), components=[0, 0])
    with pytest.raises(ModelError, match="2 models of these votes are not in the fit, first cat, dog"):
        fitted.index(prefs_of(np.ones((1, 4, 2))).table)
    with pytest.raises(ModelError, match="plain labels"):
        BradleyTerry().start(Preferences.from_counts([[1, 1]], [[2, 2]]).table)
    for l2 in (-1.0, np.nan, np.inf):
        with pytest.raises(ModelError, match="l2"):
            BradleyTerry(l2)


def test_a_fit_goes_on_with_other_models():
    """A fitted strength is a start for votes of other models: known ones keep theirs, new ones get 0."""
    fitted = BradleyTerry(strengths=[0.5, -0.5], models=("ant", "bee"))
    start = fitted.start(prefs_of(np.ones((2, 2, 2)), [(0, 1), (2, 3)]).table)
    assert start.models == tuple(NAMES)
    np.testing.assert_allclose(start.strengths, [0.5, -0.5, 0.0, 0.0])
    np.testing.assert_allclose(start.natural(), [0.5, -0.5, 0.0, 0.0])
    assert start.acyclic and len(np.unique(start.components)) == 2


def test_strengths_without_names_are_refused():
    with pytest.raises(ModelError, match="one name per strength"):
        BradleyTerry(strengths=[0.1, 0.2])
