"""One round of EM where strengths are learned from answers, and the score of votes that are set aside."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.infer.data import Data
from emjax.infer.steps import Model, e_step, e_step_at_best_weights, m_step, row_log_likelihood, table
from emjax.model.attentiveness import Attentiveness
from emjax.model.discrete import Grid, Points
from emjax.model.likelihood import marginal
from emjax.model.record import replace
from emjax.model.strength import Strength


class HeldOut(NamedTuple):
    """Votes that are set aside: the row of each user, the (comparison, outcome), how many."""

    row: Int[Array, " n"]
    term: Int[Array, " n"]
    times: Float[Array, " n"]


def one_round(
    votes: Data, model: Model, held: HeldOut, close: Float[Array, ""]
) -> tuple[Model, Model, Float[Array, ""], Float[Array, ""]]:
    """The model with a grid's weights at their best, the next one, the objective, the held-out log score."""
    model, expected, _ = e_step_at_best_weights(votes, model, close)
    value = expected.log_likelihood + model.log_prior()
    return model, m_step(model, expected, votes.index), value, _score(votes, model, held)


def opened(votes: Data, model: Model) -> Strength:
    """The strengths after one M-step of their own, the prior being taken as it is."""
    return m_step(model, e_step(votes, model), votes.index).strength


def tilted(prior: Attentiveness) -> Attentiveness | None:
    """A prior that reaches below 0, tilted upward; None for others.

    Where users are as attentive as they are contrary, on average, nothing says which answers are better, and
    strengths that start from nothing stay there.
    """
    if not isinstance(prior, Points | Grid) or prior.low >= 0.0:
        return None
    weights = np.asarray(prior.weights) * (1.0 + 1e-3 + np.asarray(prior.points))
    return replace(prior, weights=weights / weights.sum())


def _score(votes: Data, model: Model, held: HeldOut) -> Float[Array, ""]:
    """Log-probability of the votes set aside, each under what its user's other votes say of the user."""
    if not held.row.shape[0]:
        return jnp.zeros(())
    log_p = table(model, votes.index)
    rows = row_log_likelihood(votes.layout, log_p)
    users = marginal(rows, model.prior.log_weights())[1]
    chance = jnp.sum(users[held.row] * jnp.exp(log_p[held.term]), axis=1)
    return jnp.sum(held.times * jnp.log(chance))
