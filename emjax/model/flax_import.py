"""Import of Flax and optax on first use, with a message if they are not installed.

Nothing imports it before a reward network is fitted or read, because loading takes a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from emjax.errors import MissingExtra

try:
    import optax
    from flax import nnx
except ImportError as missing:
    package = (missing.name or "flax").partition(".")[0]
    raise MissingExtra.needed(package, extra="contextual", what="RewardNetwork") from missing


@contextmanager
def usual_promotion() -> Iterator[None]:
    """JAX's usual promotion of types and ranks, which optax and networks of others rely on."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


__all__ = ["nnx", "optax", "usual_promotion"]
