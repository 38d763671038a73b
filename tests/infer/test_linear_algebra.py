"""Inverses and flat directions of large matrices, against the eigenvectors of small ones."""

import numpy as np
import pytest

from emjax.infer import linear_algebra
from emjax.infer.linear_algebra import cholesky, flat_directions, inverse_off


def singular(n, flat, seed=0, rows=None):
    """A positive semi-definite matrix, the directions (n, flat) without curvature, and units of all sizes."""
    rng = np.random.default_rng(seed)
    null = np.linalg.qr(rng.normal(size=(n, flat)))[0] if flat else np.zeros((n, 0))
    scores = rng.normal(size=(rows or 3 * n, n))
    scores -= scores @ null @ null.T
    units = 10.0 ** rng.uniform(-3, 3, size=n)
    return (scores.T @ scores) * units * units[:, None], null / units[:, None]


def same_span(one, other):
    """Whether two sets of directions span the same space."""
    one, other = np.linalg.qr(one)[0], np.linalg.qr(other)[0]
    return one.shape == other.shape and np.allclose(np.linalg.svd(one.T @ other)[1], 1.0, atol=1e-6)


@pytest.mark.parametrize("n", [20, 300], ids=["few", "many"])
@pytest.mark.parametrize("flat", [0, 1, 3, 12])
def test_flat_directions_are_found(monkeypatch, n, flat):
    monkeypatch.setattr(linear_algebra, "_FEW", 100)
    matrix, null = singular(n, flat)
    found, values = flat_directions(matrix)
    assert found.shape == (n, flat) and (np.diff(values) >= 0).all()
    scale = np.sqrt(np.diag(matrix))
    if flat:
        assert same_span(found * scale[:, None], null * scale[:, None])
    every = np.sort(np.abs(np.linalg.eigvalsh(matrix / scale / scale[:, None])))
    np.testing.assert_allclose(values[-1], every[-1], rtol=1e-8)
    np.testing.assert_allclose(values[flat], every[flat], rtol=1e-6)


def test_a_large_indefinite_matrix_is_searched_as_a_small_one_is(monkeypatch):
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(250, 250))
    matrix = matrix + matrix.T
    small = flat_directions(matrix)
    monkeypatch.setattr(linear_algebra, "_FEW", 100)
    large = flat_directions(matrix)
    assert large[0].shape == small[0].shape == (250, 0)
    np.testing.assert_allclose(large[1], small[1])


@pytest.mark.parametrize(("n", "flat"), [(1, 0), (20, 0), (20, 1), (300, 2)])
def test_the_inverse_off_flat_directions_is_the_pseudo_inverse_in_their_units(n, flat):
    matrix, null = singular(n, flat)
    inverse, bent = inverse_off(matrix, null)
    assert bent.shape == (n, 0)
    scale = np.sqrt(np.diag(matrix))
    basis = np.linalg.qr(null * scale[:, None])[0]
    wanted = np.linalg.pinv(matrix / scale / scale[:, None], hermitian=True, rcond=1e-9)
    np.testing.assert_allclose(inverse * scale * scale[:, None], wanted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(basis.T @ (inverse * scale * scale[:, None]), 0.0, atol=1e-8)


def test_directions_that_curve_the_wrong_way_are_named():
    """A saddle: one direction has the curvature of a minimum, and takes no part in the inverse."""
    rng = np.random.default_rng(2)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrix = (axes * np.array([-1.0, 1.0, 2.0, 3.0, 4.0, 5.0])) @ axes.T
    _, bent = inverse_off(matrix, np.zeros((6, 0)))
    assert bent.shape == (6, 1) and float(bent[:, 0] @ matrix @ bent[:, 0]) < 0.0


def test_a_factor_is_given_only_of_what_is_safely_positive_definite():
    assert cholesky(np.diag([1.0, 1e-12])) is None
    assert cholesky(np.diag([1.0, -1.0])) is None
    factor = cholesky(np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert factor is not None
    np.testing.assert_allclose(factor @ factor.T, [[2.0, 1.0], [1.0, 2.0]])


def test_a_parameter_without_curvature_is_a_bent_direction_and_not_an_overflow():
    curved = np.array([[14.9, 2.3, -5.7], [2.3, 11.9, 3.1], [-5.7, 3.1, 6.0]])
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = curved
    matrix[3, :3] = matrix[:3, 3] = [-2e-15, 1e-15, 3e-15]  # rounding beside a diagonal of nothing
    inverse, bent = inverse_off(matrix, np.zeros((4, 0)))
    np.testing.assert_allclose(inverse[:3, :3], np.linalg.inv(curved), rtol=1e-6)
    np.testing.assert_allclose(np.abs(bent), [[0], [0], [0], [1]], atol=1e-6)


def test_many_flat_directions_are_found_where_users_are_fewer_than_parameters(monkeypatch):
    """Lanczos' method does not converge where so many eigenvalues are alike."""
    monkeypatch.setattr(linear_algebra, "_FEW", 100)
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(150, 600)) * (rng.random((150, 600)) < 0.02)
    found, _ = flat_directions(scores.T @ scores)
    assert found.shape == (600, 600 - np.linalg.matrix_rank(scores))
    assert np.abs(scores @ found).max() < 1e-10
