"""NumPy or JAX, whichever the arrays at hand belong to: small results then need no compiled program."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    AnyArray = Any  # a type checker cannot know of which library an array is
else:
    AnyArray = jax.Array | np.ndarray | np.generic


def namespace(*arrays: Any) -> Any:
    """`jax.numpy` if any of these is an array or a tracer of JAX, otherwise NumPy.

    An operation of JAX outside compiled code compiles a program of its own; NumPy does not, and computes in
    double precision whatever the JAX configuration.

    Examples
    --------
    >>> namespace(0.5, np.zeros(3)).__name__
    'numpy'
    """
    return jnp if any(isinstance(x, jax.Array) for x in arrays) else np


def scatter_add(shape: int | tuple[int, ...], place: Any, values: Any) -> Any:
    """Zeros of a shape, with values added at places that may repeat.

    Examples
    --------
    >>> scatter_add(3, np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]))
    array([1., 0., 5.])
    """
    if namespace(values) is jnp:
        return jnp.zeros(shape, values.dtype).at[place].add(values)
    total = np.zeros(shape, values.dtype)
    np.add.at(total, place, values)
    return total


def sigmoid(x: Any) -> Any:
    """1/(1 + e^−x)."""
    return jax.nn.sigmoid(x) if isinstance(x, jax.Array) else expit(np.asarray(x, np.float64))


def log_sigmoid(x: Any) -> Any:
    """Log of `sigmoid`, exact in both tails."""
    return jax.nn.log_sigmoid(x) if isinstance(x, jax.Array) else -np.logaddexp(0.0, -np.asarray(x))


def log_softmax(x: Any) -> Any:
    """X minus the log of the sum of e^x."""
    if isinstance(x, jax.Array):
        return jax.nn.log_softmax(x)
    shifted = np.asarray(x) - np.max(x)
    return shifted - np.log(np.sum(np.exp(shifted)))


def softmax(x: Any) -> Any:
    """e^x, scaled to sum to one."""
    return jax.nn.softmax(x) if isinstance(x, jax.Array) else np.exp(log_softmax(x))
