"""Both layouts give the products of plain NumPy, however ragged the users are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax import Preferences
from emjax.infer.layout import Dense, Sparse, _dense, _sparse, _terms, lay_out
from emjax.votes import distinct

pytestmark = pytest.mark.usefixtures("double")
rng = np.random.default_rng(0)


def ragged(users, comparisons, chance, seed=1):
    """Counts (users, comparisons, 2) most of which are zero, some fractional."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, (users, comparisons, 2)) * (rng.random((users, comparisons, 1)) < chance)
    counts = counts * rng.choice([1.0, 1.0, 0.5, 0.0], counts.shape)
    counts[0, 0] = (1.0, 2.0)
    return counts


def one_long_user():
    counts = ragged(30, 2500, 0.002)
    counts[4] = np.random.default_rng(2).integers(1, 4, (2500, 2))
    return counts


CASES = {
    "one user, one comparison": np.array([[[3.0, 1.0]]]),
    "one comparison": ragged(700, 1, 1.0),
    "few comparisons": ragged(100, 4, 0.7),
    "users without votes": ragged(300, 50, 0.01),
    "one long user among short ones": one_long_user(),
    "more rows than a block": ragged(1500, 30, 0.2),
}


@pytest.mark.parametrize("kind", [_dense, _sparse, lay_out])
@pytest.mark.parametrize("case", CASES)
def test_products_with_a_table(case, kind):
    counts = CASES[case]
    cells = distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1)))
    made = kind(cells) if kind is lay_out else kind(cells, *_terms(cells))
    layout, row = made if isinstance(made, tuple) else (made, cells.of_user)
    flat = counts.reshape(len(counts), -1)
    table = np.random.default_rng(3).normal(size=(flat.shape[1], 3))
    forward = np.asarray(layout.forward(jnp.asarray(table)))
    place = row if kind is not _dense else cells.of_user
    np.testing.assert_allclose(forward[place], flat @ table, rtol=1e-12, atol=1e-12)

    multiplicity = np.asarray(layout.multiplicity).reshape(-1)
    assert multiplicity.sum() == len(counts)
    np.testing.assert_array_equal(multiplicity[place], np.bincount(cells.of_user)[cells.of_user])
    padding = multiplicity == 0
    np.testing.assert_array_equal(forward[padding], 0.0)

    values = np.random.default_rng(4).normal(size=(len(multiplicity), 3))
    back = np.asarray(layout.transposed(jnp.asarray(multiplicity[:, None] * values)))
    np.testing.assert_allclose(back, flat.T @ values[place], rtol=1e-11, atol=1e-11)

    _, blocks = jax.lax.scan(
        lambda c, part: (c, layout.forward_block(part, jnp.asarray(table))), 0, layout.blocks()
    )
    np.testing.assert_allclose(np.asarray(blocks).reshape(forward.shape), forward, rtol=1e-12, atol=1e-12)


def test_few_comparisons_lie_dense_and_many_sparse():
    for case, kind in (("few comparisons", Dense), ("users without votes", Sparse)):
        counts = CASES[case]
        assert isinstance(lay_out(distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1))))[0], kind)


def test_rows_come_in_few_sizes():
    """Compiled code is reused between data sets of about the same size."""
    sizes = set()
    for users in range(2, 64):
        prefs = Preferences.from_counts(np.arange(users), np.full(users, 70))
        sizes.add(lay_out(distinct(prefs))[0].multiplicity.shape)
    assert sizes == {(1, 64)}
