"""From users to rows and back, with the strength in its place."""

import numpy as np
import pytest

import oracles
from emjax import AttentiveOrRandom, BradleyTerry, Known, Points, Preferences
from emjax.infer.steps import log_p_table
from emjax.infer.vote_sources import prepare

pytestmark = pytest.mark.usefixtures("double")


def test_each_user_finds_the_row_of_his_votes(arena, as_arena):
    counts = arena(0)
    eta, mu = np.array([0.0, 0.3, 1.0]), np.array([0.6, 0.7, 0.9])
    data, model, row = prepare(
        as_arena(counts), Points(3, eta), Known(mu).start(as_arena(counts).table), AttentiveOrRandom()
    )
    found = np.asarray(data.layout.forward(log_p_table(model, data.index)))[row]
    np.testing.assert_allclose(found, oracles.node_log_likelihoods(counts, mu, eta), rtol=1e-12)


def test_users_without_votes_have_a_row_too():
    prefs = Preferences.from_counts([0, 2, 0], [0, 3, 0])
    data, model, row = prepare(prefs, Points(2), Known(0.8), AttentiveOrRandom())
    found = np.asarray(data.layout.forward(log_p_table(model, data.index)))[row]
    np.testing.assert_array_equal(found[[0, 2]], 0.0)
    assert (found[1] < 0).all()


def test_names_stay_out_of_compiled_code(arena, as_arena):
    prefs = as_arena(arena(0))
    _, model, _ = prepare(prefs, Points(2), BradleyTerry().start(prefs.table), AttentiveOrRandom())
    assert model.strength.models == ()
