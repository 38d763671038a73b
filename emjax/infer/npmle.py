"""The convex solver for free weights on a grid, with its certificate.

Maximise Σ_j m_j log Σ_g L_jg w_g over the simplex. Plain EM converges too slowly here; this is a primal-dual
interior point on w ≥ 0, the simplex replaced by the penalty N·Σ_g w_g, which has the same maximum.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from emjax.infer.votes_on_device import Held, Votes
from emjax.model.array_namespace import AnyArray

_STEPS = 100


class _State(NamedTuple):
    w: jax.Array
    z: jax.Array  # multipliers of w >= 0
    usable: jax.Array
    best: jax.Array
    gap: jax.Array
    steps: jax.Array


def relative(rows: Float[AnyArray, "*rows nodes"]) -> Float[AnyArray, "*rows nodes"]:
    """Likelihood of each row at each node, over that of its best node."""
    return jnp.exp(rows - jnp.max(rows, axis=-1, keepdims=True))


def solve_weights(
    held: Held, votes: Votes, nodes: int, tol: Float[AnyArray, ""]
) -> tuple[Float[AnyArray, " nodes"], Float[AnyArray, ""]]:
    """Weights whose log-likelihood is within `gap` of the maximum, and `gap`, a proven bound.

    `held` has pairs of which the second is `relative`. The bound is N·max_g D(g) with
    D(g) = (1/N) Σ_j m_j L_jg/(Lw)_j − 1 (Lindsay, 1983). The solver goes on until it is below `tol`, or
    rounding lets it fall no further.
    """
    total = votes.n_users
    start = jnp.full((nodes,), 1.0 / nodes, jnp.float64)
    z = jnp.maximum(1.0 - held.sum(_pull, start, total)[0], 0.1)
    far, zero = jnp.full((), jnp.inf), jnp.zeros((), jnp.int32)

    def step(state: _State) -> _State:
        return _advance(state, *held.sum(_pull, state.w, total))

    def going(state: _State) -> jax.Array:
        return (state.steps < _STEPS) & state.usable & (state.gap * total > tol)

    end = votes.loop(going, step, _State(start, z, jnp.array(True), start, far, zero))
    return end.best, jnp.maximum(end.gap * total, 0.0)


def _pull(
    pair: tuple[Any, Any], layout: Any, w: Float[AnyArray, " nodes"], total: Float[AnyArray, ""]
) -> Any:
    """Gradient of the mean log-likelihood in the weights, and minus its Hessian."""
    likelihood = pair[1]
    share = layout.multiplicity / total
    mixture = likelihood @ w
    scaled = likelihood * (jnp.sqrt(share) / mixture)[:, None]
    return likelihood.T @ (share / mixture), scaled.T @ scaled


@jax.jit
def _advance(
    state: _State, pull: Float[AnyArray, " nodes"], curvature: Float[AnyArray, "nodes nodes"]
) -> _State:
    """One step of the interior point method."""
    w, z = state.w, state.z
    # The certificate, of the weights scaled to sum to one.
    gap = jnp.max(pull) * jnp.sum(w) - 1.0
    best = jnp.where(gap < state.gap, w / jnp.sum(w), state.best)
    matrix = curvature + jnp.diag(z / w) + 1e-14 * jnp.eye(len(w))
    factor = jax.scipy.linalg.cho_factor(matrix)
    slack = pull - 1.0  # minus the gradient of the penalised problem
    mu = jnp.mean(w * z)

    def direction(target: Any) -> tuple[jax.Array, jax.Array]:
        dw = jax.scipy.linalg.cho_solve(factor, slack + target / w)
        return dw, target / w - z - z / w * dw

    def longest(x: jax.Array, dx: jax.Array) -> jax.Array:
        return jnp.min(jnp.where(dx < 0.0, -x / jnp.where(dx < 0.0, dx, -1.0), jnp.inf))

    # Mehrotra: how far a pure Newton step would get says how much centring is needed.
    dw, dz = direction(jnp.zeros_like(w))
    aw, az = jnp.minimum(1.0, longest(w, dw)), jnp.minimum(1.0, longest(z, dz))
    ahead = jnp.mean((w + aw * dw) * (z + az * dz))
    centre = (ahead / mu) ** 3
    dw, dz = direction(centre * mu - dw * dz)
    aw = jnp.minimum(1.0, 0.995 * longest(w, dw))
    az = jnp.minimum(1.0, 0.995 * longest(z, dz))
    usable = jnp.isfinite(dw).all() & jnp.isfinite(dz).all()
    return _State(
        jnp.where(usable, w + aw * dw, w),
        jnp.where(usable, z + az * dz, z),
        usable,
        best,
        jnp.minimum(gap, state.gap),
        state.steps + 1,
    )
