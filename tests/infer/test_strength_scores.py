"""Sums of products of scores, against loops; and information from lists against information from matrices."""

import jax
import numpy as np
import pytest

import emjax
from emjax.data.response_patterns import distinct
from emjax.infer import count_layout
from emjax.infer.count_layout import lay_out_alike
from emjax.infer.information import compact, information
from emjax.infer.steps import Model, e_step
from emjax.infer.strength_scores import Scores
from emjax.infer.votes_on_device import Data

pytestmark = pytest.mark.usefixtures("double")
ROWS, ENTRIES, NODES, SIZE, COMMON = 6, 4, 3, 9, 2


@pytest.fixture
def drawn():
    """Scores as lists, and the same written out, (rows, coordinates, nodes)."""
    rng = np.random.default_rng(0)
    values, place = rng.normal(size=(ROWS, ENTRIES, NODES)), rng.integers(SIZE, size=(ROWS, ENTRIES))
    place[0] = 3  # all of them one coordinate
    common = rng.normal(size=(ROWS, COMMON, NODES))
    whole = np.zeros((ROWS, SIZE + COMMON, NODES))
    for row in range(ROWS):
        for entry in range(ENTRIES):
            whole[row, place[row, entry]] += values[row, entry]
    whole[:, SIZE:] = common
    return Scores(values, place, SIZE).with_common(common), whole


def both(drawn):
    """As lists, and with all coordinates in every row."""
    listed, whole = drawn
    return [listed, Scores(whole[:, :SIZE], None, SIZE).with_common(whole[:, SIZE:])]


def test_sums_are_those_of_loops(drawn):
    rng = np.random.default_rng(1)
    weight, posterior, whole = rng.random((ROWS, NODES)), rng.random((ROWS, NODES)), drawn[1]
    mean = np.einsum("rpg,rg->rp", whole, posterior)
    for scores in both(drawn):
        own = scores.mean(posterior)
        np.testing.assert_allclose(scores.by_node(weight), np.einsum("rg,rpg->gp", weight, whole), atol=1e-12)
        np.testing.assert_allclose(scores.summed(own[:, :, None]), mean.sum(axis=0)[:, None], atol=1e-12)
        second, outer = scores.second_moments(weight, own)
        np.testing.assert_allclose(second, np.einsum("rg,rpg,rqg->pq", weight, whole, whole), atol=1e-12)
        np.testing.assert_allclose(outer, mean.T @ mean, atol=1e-12)


def votes_of(n_models, ties=False, sides=False, seed=3):
    """Few votes of each of 60 users on pairs of many models."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(60), 5)
    a = rng.integers(n_models, size=300)
    b = (a + rng.integers(1, n_models, size=300)) % n_models
    won = rng.choice([0.0, 0.5, 1.0] if ties else [0.0, 1.0], size=300)
    told = {"shown_first": rng.random(300) < 0.5} if sides else {}
    names = np.array([f"m{i:02d}" for i in range(n_models)], dtype=object)
    pairs = np.stack([names[a], names[b]], axis=1)
    return emjax.Preferences.from_votes(user, pairs, won, ties="model" if ties else "half", **told)


@pytest.mark.parametrize(
    ("prior", "strength", "ties", "sides"),
    [
        (emjax.Points(3), emjax.BradleyTerry(), False, False),
        (emjax.Grid(12), emjax.BradleyTerry(), True, False),
        (emjax.Beta(), emjax.BradleyTerry(), True, True),
        (emjax.TwoPoint(), emjax.PerPair(), False, True),
        (emjax.Grid(12), emjax.PerPair(), False, False),
    ],
)
def test_lists_and_matrices_give_the_same_information(monkeypatch, prior, strength, ties, sides):
    prefs = votes_of(40, ties, sides)
    strength = strength.start(prefs)
    strength = strength.at(np.random.default_rng(4).normal(size=strength.n_coordinates()))
    behavior = emjax.model.response.default_behavior(prefs).start(prefs)
    model = Model(prior, strength.bare(), behavior.on(prefs))
    index, users = strength.index(prefs), np.float64(prefs.n_users)
    found = {}
    for name, dense, cost in (("matrix", True, 0), ("lists", False, -(10**9)), ("rows", False, 10**9)):
        monkeypatch.setattr(count_layout, "_SCATTER", cost)
        jax.clear_caches()
        ((layout, _),) = lay_out_alike([distinct(prefs)], dense=dense)
        votes = Data(layout, jax.device_put(index), users, prefs.outcomes.n)
        smaller, few = compact(jax.tree.map(np.asarray, model), np.asarray(e_step(votes, model).mass))
        found[name] = information(votes, smaller, few)
    for name in ("lists", "rows"):
        for one, other in zip(found[name], found["matrix"], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)
