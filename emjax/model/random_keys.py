"""Random keys: a JAX key or an integer seed, checked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.errors import ModelError


def as_key(key: Any, caller: str) -> jax.Array:
    """The JAX key that a caller's `key` stands for; ModelError if it is none."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 0:
        return jax.random.key(int(key))
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0:
        return key
    if isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(key)
    raise ModelError(
        f"{caller} takes as key a seed (a whole number, 0 or more) or a jax.random.key(seed); got {key!r}."
    )
