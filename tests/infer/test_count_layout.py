"""Both layouts give the products of plain NumPy, however ragged the users are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax import Preferences
from emjax.data import distinct
from emjax.data.partition import divided
from emjax.infer.count_layout import Dense, Sparse, lay_out, lay_out_alike

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


@pytest.mark.parametrize("dense", [True, False, None])
@pytest.mark.parametrize("case", CASES)
def test_both_layouts_give_the_products_of_numpy(case, dense):
    counts = CASES[case]
    cells = distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1)))
    ((layout, of_cell),) = lay_out_alike([cells], dense=dense)
    check_products(layout, of_cell[cells.of_user], counts, np.bincount(cells.of_user)[cells.of_user])


def check_products(layout, place, counts, times):
    flat = counts.reshape(len(counts), -1)
    table = np.random.default_rng(3).normal(size=(flat.shape[1], 3))
    forward = np.asarray(layout.forward(jnp.asarray(table)))
    np.testing.assert_allclose(forward[place], flat @ table, rtol=1e-12, atol=1e-12)

    multiplicity = np.asarray(layout.multiplicity)
    assert multiplicity.sum() == len(counts)
    np.testing.assert_array_equal(multiplicity[place], times)
    padding = multiplicity == 0
    np.testing.assert_array_equal(forward[padding], 0.0)

    values = np.random.default_rng(4).normal(size=(len(multiplicity), 3))
    back = np.asarray(layout.transposed(jnp.asarray(multiplicity[:, None] * values)))
    np.testing.assert_allclose(back, flat.T @ values[place], rtol=1e-11, atol=1e-11)

    blocks = []
    for part in layout.blocks():
        _, (rows, times) = jax.lax.scan(
            lambda c, block: (c, (layout.forward_block(block[0], jnp.asarray(table)), block[1])), 0, part
        )
        blocks.append((np.asarray(rows).reshape(-1, 3), np.asarray(times).ravel()))
    np.testing.assert_allclose(np.concatenate([x for x, _ in blocks]), forward, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([x for _, x in blocks]), multiplicity)


def test_lists_of_several_lengths_give_the_products_of_numpy():
    """Most users with few votes and some with very many: several groups of lists, and lists in chunks."""
    rng = np.random.default_rng(5)
    counts = ragged(25_000, 400, 0.003, seed=6)
    counts[rng.choice(25_000, 40, replace=False)] = ragged(40, 400, 0.6, seed=7)
    cells = distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1)))
    layout, place = lay_out(cells)
    assert isinstance(layout, Sparse) and len(layout.term) > 1 and layout.term[-1].shape[2] > 64
    check_products(layout, place, counts, np.bincount(cells.of_user)[cells.of_user])


def test_parts_laid_out_alike_have_one_shape_and_the_same_products():
    counts = CASES["more rows than a block"]
    cells = distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1)))
    for dense in (True, False):
        layouts = [layout for layout, _ in lay_out_alike(divided(cells, 3), dense=dense)]
        shapes = {str(jax.tree.map(lambda x: (x.shape, x.dtype), layout)) for layout in layouts}
        assert len(shapes) == 1
        back = sum(
            np.asarray(x.transposed(x.multiplicity[:, None] * jnp.ones((len(x.multiplicity), 2))))
            for x in layouts
        )
        np.testing.assert_allclose(back[:, 0], counts.sum(axis=0).ravel(), rtol=1e-12)


def test_few_comparisons_are_stored_dense_and_many_sparse():
    for case, kind in (("few comparisons", Dense), ("users without votes", Sparse)):
        counts = CASES[case]
        assert isinstance(lay_out(distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1))))[0], kind)


def test_similar_numbers_of_rows_share_one_padded_size():
    """Compiled code is reused between data sets of about the same size."""
    sizes = set()
    for users in range(2, 64):
        prefs = Preferences.from_counts(np.arange(users), np.full(users, 70))
        sizes.add(lay_out(distinct(prefs))[0].multiplicity.shape)
    assert sizes == {(64,)}


@pytest.mark.parametrize("dense", [True, False])
def test_small_data_of_about_the_same_size_have_one_shape(dense):
    """Folds of a validation, or the votes of another day, then find their programs compiled."""
    shapes = set()
    for seed, users in ((1, 800), (2, 900), (3, 1000)):
        counts = ragged(users, 60, 0.15, seed)
        cells = distinct(Preferences.from_counts(counts[..., 0], counts.sum(-1)))
        ((layout, _),) = lay_out_alike([cells], dense=dense)
        shapes.add(str(jax.tree.map(lambda x: (x.shape, x.dtype), layout)))
    assert len(shapes) == 1
