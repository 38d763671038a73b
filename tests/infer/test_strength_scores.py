"""Sums of products of scores, against loops; and information from lists against information from matrices."""

import jax
import numpy as np
import pytest

import emjax
from emjax.data.response_patterns import distinct
from emjax.infer import count_layout
from emjax.infer.count_layout import lay_out_alike
from emjax.infer.information import compact, information
from emjax.infer.steps import e_step
from emjax.infer.strength_scores import Scores
from emjax.infer.vote_sources import design_index
from emjax.infer.votes_on_device import Data
from emjax.model.model import Model

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
    mean, common = np.einsum("rpg,rg->rp", whole, posterior), rng.normal(size=(ROWS, 5))
    for scores in both(drawn):
        own = scores.mean(posterior)
        np.testing.assert_allclose(scores.by_node(weight), np.einsum("rg,rpg->gp", weight, whole), atol=1e-12)
        crossed = scores.products(own, common)
        np.testing.assert_allclose(crossed, mean.T @ common, atol=1e-12)
        second, outer = scores.second_moments(weight, own)
        np.testing.assert_allclose(second, np.einsum("rg,rpg,rqg->pq", weight, whole, whole), atol=1e-12)
        np.testing.assert_allclose(outer, mean.T @ mean, atol=1e-12)


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
def test_lists_and_matrices_give_the_same_information(
    monkeypatch, few_votes_each, prior, strength, ties, sides
):
    prefs = few_votes_each(40, ties, sides)
    strength = strength.start(prefs.table)
    strength = strength.at(np.random.default_rng(4).normal(size=strength.n_coordinates()))
    behavior = emjax.model.response.default_behavior(prefs.table).start(prefs.table)
    model = Model(prior, strength.bare(), behavior.on(prefs.table))
    index, users = design_index(strength, prefs.table), np.float64(prefs.n_users)
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
