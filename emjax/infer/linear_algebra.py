"""Inverses and null directions of information matrices, quick where there are thousands of parameters.

A matrix is first scaled to a unit diagonal, so that units do not decide what is flat.
"""

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from emjax.errors import FitError

_POSITIVE = ("potrf", "pocon", "potri", "potrs")  # factor, condition, inverse, solution
_factor, _condition, _inverse, _solution = get_lapack_funcs(_POSITIVE, dtype=np.float64)

_NOTHING = 1e-15  # a curvature this far below the largest is none
_FLAT = 1e-9  # relative curvature below which a direction is not determined
_SAFE = 1e-8  # reciprocal condition above which no direction is flat
_FEW = 500  # parameters up to which all eigenvalues are found
_RESTARTS = 40  # of Lanczos' method, a multiple of what it takes where eigenvalues differ


def check_finite(*derivatives: np.ndarray) -> None:
    """Raise FitError where a derivative is not finite."""
    if not all(np.isfinite(x).all() for x in derivatives):
        raise FitError(
            "A derivative of the log-likelihood is not finite. Look for counts of enormous size, or "
            "start elsewhere, with another prior."
        )


def unit_scale(matrix: np.ndarray) -> np.ndarray:
    """(P,) what to multiply rows and columns by, so that the diagonal is 1 where it is more than rounding.

    Of a parameter without curvature the rest of the row is rounding too, and is not to be blown up.
    """
    diagonal = np.abs(np.diag(matrix))
    rounding = np.finfo(float).eps * diagonal.max(initial=0.0)
    return 1.0 / np.sqrt(np.maximum(diagonal, max(rounding, 1e-300)))


def cholesky(matrix: np.ndarray, least: float = _SAFE) -> np.ndarray | None:
    """The lower factor of a positive definite matrix whose reciprocal condition is above `least`, or None.

    Examples
    --------
    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]])).round(6)
    array([[2., 0.],
           [1., 2.]])
    >>> cholesky(np.ones((2, 2))) is None
    True
    """
    if not len(matrix):
        return None
    factor, failed = _factor(matrix, lower=1, clean=1)
    if failed:
        return None
    reciprocal, failed = _condition(factor, np.abs(matrix).sum(axis=0).max(), uplo="L")
    return None if failed or not reciprocal > least else factor


def flat_directions(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (P, k) along which a symmetric matrix has no curvature; and its absolute eigenvalues.

    Those of the scaled matrix, ascending; of a large one that has few flat directions only the smallest,
    at least one of them not flat, and the largest.
    """
    scale = unit_scale(matrix)
    values, vectors = _extreme(matrix * scale * scale[:, None])
    size = np.abs(values)
    # A coordinate without any information has a diagonal of zero: scaled or not, it is flat.
    flat = size <= _FLAT * max(1.0, size.max(initial=0.0))
    directions = vectors[:, flat] * scale[:, None]
    return directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-300), np.sort(size)


class _Inverse(LinearOperator):
    """Products with the inverse of a matrix, by its lower factor."""

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__(np.dtype(np.float64), factor.shape)
        self.factor = factor

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return _solution(self.factor, x, lower=1)[0]


def _extreme(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors: all of them, or of a large matrix those at either end."""
    n = len(scaled)
    if n <= _FEW:
        return np.linalg.eigh(scaled)
    shift = _FLAT * np.eye(n)
    factor, failed = _factor(scaled + shift, lower=1)
    few = 8
    while not failed and few <= n // 8:
        # The smallest eigenvalues are the largest of the inverse, where few steps find them; but not where
        # many are alike, as with fewer users than parameters.
        try:
            values, vectors = eigsh(_Inverse(factor), few, v0=np.ones(n), maxiter=_RESTARTS)
        except ArpackNoConvergence:
            break
        values = 1.0 / values - _FLAT
        if values.max() > 1e3 * _FLAT:
            top, axis = eigsh(scaled, 1, which="LA", v0=np.ones(n))
            return np.append(values, top), np.append(vectors, axis, axis=1)
        few *= 4
    return np.linalg.eigh(scaled)


def inverse_off(matrix: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse off the flat directions, and the unit directions without the curvature of a maximum."""
    if not matrix.size:
        return matrix, np.zeros((0, 0))
    scale = unit_scale(matrix)
    scaled, flat = matrix * scale * scale[:, None], flat / scale[:, None]
    null = np.linalg.qr(flat)[0]
    # With a unit of curvature along them, the flat directions do not mix with the others.
    still, unit = scaled @ null, np.eye(null.shape[1])
    raised = scaled - null @ still.T - still @ null.T + null @ (null.T @ still + unit) @ null.T
    factor = cholesky(raised)
    if factor is not None:
        lower = _inverse(factor, lower=1)[0]
        inverse = np.tril(lower) + np.tril(lower, -1).T - null @ null.T
        return inverse * scale * scale[:, None], np.zeros((len(scale), 0))
    basis = np.linalg.svd(flat, full_matrices=True)[0][:, flat.shape[1] :]
    values, vectors = np.linalg.eigh(basis.T @ scaled @ basis)
    directions = scale[:, None] * (basis @ vectors)
    curved = values > _NOTHING * np.abs(values).max(initial=0.0)  # below it the sign is rounding
    whitened = directions[:, curved] / np.sqrt(values[curved])
    bent = directions[:, ~curved]
    return whitened @ whitened.T, bent / np.maximum(np.linalg.norm(bent, axis=0), 1e-300)
