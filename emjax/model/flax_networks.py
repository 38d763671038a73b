"""Flax reward networks: the built-in one, user-defined ones, and L-BFGS on their weights."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray
from emjax.model.flax_import import nnx, optax, usual_promotion

Weights = tuple[Any, ...]  # arrays, of jax or of NumPy
_MEMORY = 10  # pairs of steps and gradients that L-BFGS remembers


class Definition(NamedTuple):
    """A network less its weights; hashable, and the same for the same network."""

    graph: Any
    tree: Any
    names: tuple[str, ...]  # of the weights, in their order


class Reward(nnx.Module):
    """A linear part plus layers of tanh; with unit normal weights the reward has a variance near one.

    Each sum is divided by the root of its number of terms, so that one ridge penalty fits all sizes. The last
    layer and the linear part start at zero.
    """

    def __init__(self, rngs: Any, n_features: int, hidden: tuple[int, ...]):
        sizes = (n_features, *hidden)
        self.linear = nnx.Param(jnp.zeros(n_features))
        pairs = zip(sizes[:-1], hidden, strict=True)
        self.kernels = nnx.List([nnx.Param(jax.random.normal(rngs.params(), pair)) for pair in pairs])
        self.biases = nnx.List([nnx.Param(jnp.zeros(size)) for size in hidden])
        self.last = nnx.Param(jnp.zeros(hidden[-1] if hidden else 0))

    def __call__(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, " n"]:
        """Rewards of answers with these (standardised) features."""
        reward = x @ self.linear[...] / jnp.sqrt(jnp.asarray(float(x.shape[1]), x.dtype))
        if not len(self.kernels):
            return reward
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            size = jnp.asarray(float(x.shape[1]), x.dtype)
            x = jnp.tanh(x @ kernel[...] / jnp.sqrt(size) + bias[...][None, :])
        return reward + x @ self.last[...] / jnp.sqrt(jnp.asarray(float(x.shape[1]), x.dtype))


def initial(network: Any, hidden: tuple[int, ...], n_features: int, seed: int) -> Weights:
    """Weights before training, in double precision."""
    _, state, _ = _split(_made(network, hidden, n_features, seed))
    return tuple(jnp.asarray(x, jnp.float64) for x in jax.tree.leaves(state))


@lru_cache(maxsize=64)
def definition(network: Any, hidden: tuple[int, ...], n_features: int) -> Definition:
    """What a network is, its weights aside; a ModelError where it is no plain function of features."""
    with jax.enable_x64(True):
        graph, state, rest = _split(_made(network, hidden, n_features, 0))
        if jax.tree.leaves(rest):
            raise ModelError(
                "the network holds more than parameters (random numbers for dropout, or statistics of "
                "batches): RewardNetwork needs a plain function of the features."
            )
        paths, tree = jax.tree_util.tree_flatten_with_path(state)
        found = Definition(graph, tree, tuple(_name(path) for path, _ in paths))
        weights = tuple(jnp.asarray(x, jnp.float64) for _, x in paths)
        out = jax.eval_shape(lambda x: forward(found, weights, x), jnp.zeros((3, n_features)))
        if out.shape != (3,):
            raise ModelError(
                f"the network gives an array of shape {out.shape} for 3 answers: it has to give one reward "
                f"for each, of shape (3,)."
            )
    return found


def forward(what: Definition, weights: Weights, x: Float[AnyArray, "n d"]) -> Any:
    """Rewards (n,) of answers with these standardised features."""
    with usual_promotion():
        return nnx.merge(what.graph, jax.tree.unflatten(what.tree, list(weights)))(x)


def climbed(value: Callable[[Weights], Float[AnyArray, ""]], start: Weights, steps: int) -> Weights:
    """Weights after some steps of L-BFGS that raise a function of them; `start` where they fail to."""
    rule = optax.lbfgs(memory_size=_MEMORY)

    def loss(weights: Weights) -> Float[AnyArray, ""]:
        return -value(weights)

    def step(_: Any, state: Any) -> Any:
        weights, memory = state
        here, slope = optax.value_and_grad_from_state(loss)(weights, state=memory)
        move, memory = rule.update(slope, memory, weights, value=here, grad=slope, value_fn=loss)
        return optax.apply_updates(weights, move), memory

    with usual_promotion():
        end, _ = jax.lax.fori_loop(0, steps, step, (start, rule.init(start)))
        better = value(end) >= value(start)  # false too where it is not finite
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), end, start)


def _made(network: Any, hidden: tuple[int, ...], n_features: int, seed: int) -> Any:
    rngs = nnx.Rngs(seed)
    with usual_promotion():
        made = Reward(rngs, n_features, hidden) if network is None else network(rngs, n_features)
    if not isinstance(made, nnx.Module):
        raise ModelError(
            f"network(rngs, n_features) has to return a Flax module (flax.nnx.Module); got a "
            f"{type(made).__name__}."
        )
    return made


def _split(module: Any) -> tuple[Any, Any, Any]:
    graph, params, *rest = nnx.split(module, nnx.Param, ...)
    return graph, params, rest


def _name(path: tuple[Any, ...]) -> str:
    keys = [str(getattr(key, "key", "")) for key in path]
    return ".".join(key for key in keys if key)
