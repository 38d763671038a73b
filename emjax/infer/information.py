"""Information matrices of the marginal log-likelihood, in one blocked pass over the users."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from emjax.infer.coordinates import all_coordinates, n_strength, n_support, with_all_coordinates
from emjax.infer.steps import Data, Model, table
from emjax.model.discrete import Grid
from emjax.model.likelihood import marginal
from emjax.model.record import replace

_LEAST = 32  # node counts are rounded up to powers of two from here, so that compiled code is reused


class Information(NamedTuple):
    """First and second derivatives of log L in all coordinates: (P,), and (P, P).

    `observed` is minus the Hessian, `outer` the sum over users of the outer products of their scores,
    `log_prior` minus the Hessian of the log priors, whose gradient is `prior_gradient`.
    """

    gradient: Any
    observed: Any
    outer: Any
    log_prior: Any
    prior_gradient: Any


def compact(model: Model, mass: np.ndarray) -> tuple[Model, np.ndarray]:
    """The model without nodes that no user is at, and the nodes to look at.

    Information sums over users × nodes × parameters; most nodes of a fitted Grid, and many of a Beta,
    hold less than 1e-7 of the users.
    """
    wanted = int((mass > 1e-7 * mass.sum()).sum())
    size = min(len(mass), max(_LEAST, 1 << (wanted - 1).bit_length()))
    keep = np.sort(np.argsort(-mass, kind="stable")[:size])
    if isinstance(model.prior, Grid):
        weights = np.asarray(model.prior.weights)[keep]
        prior = replace(
            model.prior, points=np.asarray(model.prior.points)[keep], weights=weights / weights.sum()
        )
        return replace(model, prior=prior), np.arange(size)
    return model, keep


@jax.jit
def information(model: Model, data: Data, keep: Int[Array, " nodes"]) -> Information:
    """Louis' identity, user by user: what is seen is what the complete data show, less what is missing.

    With s_jg the score of user j if he were at node g, and R his posterior over nodes,
    −∇² log L = −E[∇² complete] − Σ_j (E_R[s sᵀ] − E_R[s] E_R[s]ᵀ), and Σ_j E_R[s] E_R[s]ᵀ is `outer`.
    """
    x = all_coordinates(model)
    moving = n_support(model) + n_strength(model)
    size = x.shape[0]

    def tables(x):
        at = with_all_coordinates(model, x)
        return table(at, data.index)[:, keep], at.prior.log_weights()[keep]

    def moved_table(head):
        return tables(jnp.concatenate([head, x[moving:]]))[0]

    here, log_weights = tables(x)
    slopes = jax.jacfwd(moved_table)(x[:moving])
    weight_slopes = jax.jacfwd(lambda x: tables(x)[1])(x)
    nodes = here.shape[1]
    wide = jnp.concatenate([here, slopes.reshape(here.shape[0], -1)], axis=1)

    def block(total, part):
        counts, multiplicity = part
        rows = data.layout.forward_block(counts, wide)
        _, posterior = marginal(rows[:, :nodes], log_weights)
        scores = rows[:, nodes:].reshape(rows.shape[0], nodes, moving)
        scores = jnp.pad(scores, ((0, 0), (0, 0), (0, size - moving))) + weight_slopes[None]
        mean = jnp.sum(posterior[:, :, None] * scores, axis=1)
        root = jnp.sqrt(multiplicity[:, None] * posterior)
        flat = (root[:, :, None] * scores).reshape(rows.shape[0] * nodes, size)
        weighted = jnp.sqrt(multiplicity)[:, None] * mean
        complete, outer, mass, votes_back = total
        return (
            complete + flat.T @ flat,
            outer + weighted.T @ weighted,
            mass + jnp.sum(multiplicity[:, None] * posterior, axis=0),
            votes_back + jnp.sum(multiplicity[:, None] * mean, axis=0),
        ), (multiplicity[:, None] * posterior)

    zero = jnp.zeros((size, size))
    parts = data.layout.blocks(), data.layout.multiplicity
    (complete, outer, mass, gradient), weighted = jax.lax.scan(
        block, (zero, zero, jnp.zeros(nodes), jnp.zeros(size)), parts
    )
    votes = data.layout.transposed(weighted.reshape(-1, nodes))

    def expected(x):
        at, weights = tables(x)
        return jnp.sum(votes * at) + jnp.sum(mass * weights)

    def log_prior(x):
        return with_all_coordinates(model, x).strength.log_prior()

    return Information(
        gradient,
        -jax.hessian(expected)(x) - (complete - outer),
        outer,
        -jax.hessian(log_prior)(x),
        jax.grad(log_prior)(x),
    )
