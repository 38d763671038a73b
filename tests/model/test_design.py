"""The design, against the matrix written out; and the one that each strength makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emjax
from emjax.model.design import Design, DesignIndex, known_design


def drawn(entries, rows=7, size=5, seed=0):
    rng = np.random.default_rng(seed)
    columns, values = rng.integers(size, size=(rows, entries)), rng.normal(size=(rows, entries))
    return Design(columns, values, rng.normal(size=rows), size)


def written_out(design):
    """The matrix; columns of one row may repeat, and then they add up."""
    matrix = np.zeros((len(design.offset), design.size))
    for row, (columns, values) in enumerate(zip(design.columns, design.values, strict=True)):
        for column, value in zip(columns, values, strict=True):
            matrix[row, column] += value
    return matrix


@pytest.mark.parametrize("entries", [0, 1, 2, 3])
@pytest.mark.parametrize("compiled", [False, True], ids=["NumPy", "JAX"])
def test_products_are_those_of_the_matrix(entries, compiled):
    design, rng = drawn(entries), np.random.default_rng(1)
    matrix, x = written_out(design), rng.normal(size=5)
    rows, weight = rng.normal(size=(7, 3)), rng.random(7)
    with jax.enable_x64(True):
        given = jax.tree.map(jnp.asarray, design) if compiled else design
        run = jax.jit if compiled else (lambda function: function)
        logits = run(lambda d, x: d.logits(x))(given, x)
        turned = run(lambda d, r: d.transposed(r))(given, rows)
        one = run(lambda d, r: d.transposed(r))(given, rows[:, 0])
        gram = run(lambda d, w: d.weighted_gram(w))(given, weight)
    np.testing.assert_allclose(logits, matrix @ x + design.offset, atol=1e-14)
    np.testing.assert_allclose(turned, matrix.T @ rows, atol=1e-14)
    np.testing.assert_allclose(one, matrix.T @ rows[:, 0], atol=1e-14)
    np.testing.assert_allclose(gram, matrix.T @ (weight[:, None] * matrix), atol=1e-14)


def test_numpy_stays_numpy():
    assert isinstance(drawn(2).logits(np.zeros(5)), np.ndarray)


def test_a_known_design_has_no_column():
    design = known_design(np.array([0.5, -1.0]))
    assert design.logits(np.zeros(0)).tolist() == [0.5, -1.0]
    assert design.transposed(np.ones((2, 3))).shape == (0, 3)


PREFS = emjax.Preferences.from_votes(
    ["u"] * 4, [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a")], [True, True, False, True]
)


@pytest.mark.parametrize(
    "strength",
    [
        emjax.Known({("a", "b"): 0.7, ("b", "c"): 0.6, ("c", "a"): 0.2}),
        emjax.Shared(value=0.7),
        emjax.PerPair(),
        emjax.BradleyTerry(),
    ],
    ids=lambda strength: type(strength).__name__,
)
def test_the_logits_of_a_strength_are_linear_in_its_coordinates(strength):
    """From one end to the other of a random step, half of the way is half of the change."""
    strength = strength.start(PREFS.table)
    index, n = strength.index(PREFS.table), strength.n_coordinates()
    start, move = np.random.default_rng(2).normal(size=(2, n))
    points = [strength.at(start + t * move).logits(index) for t in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(points[1], 0.5 * (points[0] + points[2]), atol=1e-14)
    matrix = written_out(strength.design(index))
    assert matrix.shape == (len(index), n)
    np.testing.assert_allclose(points[2] - points[0], matrix @ move, atol=1e-14)


def test_known_rows_follow_the_comparisons_and_no_coordinate_moves_them():
    strength = emjax.BradleyTerry().start(PREFS.table)
    strength = strength.at(np.array([0.3, -0.7, 0.1]))
    own, log_odds = strength.index(PREFS.table), np.array([3.0, 1.5])
    index = DesignIndex(own, log_odds)
    design = index.design(strength)
    np.testing.assert_array_equal(index.logits(strength), [*strength.logits(own), *log_odds])
    np.testing.assert_array_equal(
        written_out(design), np.vstack([written_out(strength.design(own)), np.zeros((2, 3))])
    )
    assert (index.n_rows, index.n_comparisons, index.n_known) == (5, 3, 2)
