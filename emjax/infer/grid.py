"""The convex solver for free weights on a grid, with its certificate.

Maximise Σ_j m_j log Σ_g L_jg w_g over the simplex. Plain EM is hopeless here; this is a primal-dual
interior point on w ≥ 0, the simplex replaced by the penalty N·Σ_g w_g, which has the same maximum.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_STEPS = 100


def solve_weights(
    rows: Float[Array, "rows nodes"], multiplicity: Float[Array, " rows"], tol: Float[Array, ""]
) -> tuple[Float[Array, " nodes"], Float[Array, ""]]:
    """Weights whose log-likelihood lacks at most `gap` of the maximum, and `gap`, a bound and no guess.

    The bound is N·max_g D(g) with D(g) = (1/N) Σ_j m_j L_jg/(Lw)_j − 1 (Lindsay, 1983). The solver goes on
    until it is below `tol`, or rounding lets it fall no further.
    """
    likelihood = jnp.exp(rows - jnp.max(rows, axis=1, keepdims=True))
    total = jnp.sum(multiplicity)
    nodes = likelihood.shape[1]
    share = multiplicity / total
    eye = jnp.eye(nodes, dtype=rows.dtype)

    def gradient(w):
        mixture = likelihood @ w
        return likelihood.T @ (share / mixture), mixture

    def certificate(w, pull):
        # Of the weights scaled to sum to one; `pull` is Σ_j m_j L_jg/(Lw)_j over N.
        return jnp.max(pull) * jnp.sum(w) - 1.0

    def step(state):
        w, z, _, _, best, best_gap, count = state
        pull, mixture = gradient(w)
        gap = certificate(w, pull)
        better = gap < best_gap
        best, best_gap = jnp.where(better, w / jnp.sum(w), best), jnp.minimum(gap, best_gap)

        scaled = likelihood * (jnp.sqrt(share) / mixture)[:, None]
        curvature = scaled.T @ scaled
        matrix = curvature + jnp.diag(z / w) + 1e-14 * eye
        factor = jax.scipy.linalg.cho_factor(matrix)
        slack = pull - 1.0  # minus the gradient of the penalised problem
        mu = jnp.mean(w * z)

        def direction(target):
            dw = jax.scipy.linalg.cho_solve(factor, slack + target / w)
            return dw, target / w - z - z / w * dw

        def longest(x, dx):
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
        w_new = jnp.where(usable, w + aw * dw, w)
        z_new = jnp.where(usable, z + az * dz, z)
        return w_new, z_new, gap, usable, best, best_gap, count + 1

    def going(state):
        *_, usable, _, best_gap, count = state
        return (count < _STEPS) & usable & (best_gap * total > tol)

    start = jnp.full((nodes,), 1.0 / nodes, rows.dtype)
    pull, _ = gradient(start)
    z = jnp.maximum(1.0 - pull, 0.1)
    far = jnp.full((), jnp.inf, rows.dtype)
    state = (start, z, far, jnp.array(True), start, far, jnp.zeros((), jnp.int32))
    *_, best, best_gap, _ = jax.lax.while_loop(going, step, state)
    return best, jnp.maximum(best_gap * total, 0.0)
