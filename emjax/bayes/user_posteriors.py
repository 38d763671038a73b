"""The posterior of every user, averaged over draws of the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.marginal_density import arranged
from emjax.data.preferences import Preferences
from emjax.infer.posteriors import on_nodes, with_behavior, worth_keeping
from emjax.infer.steps import log_p_table
from emjax.infer.vote_sources import prepare
from emjax.infer.votes_on_device import Data
from emjax.model.likelihood import marginal
from emjax.model.model import Model
from emjax.model.posterior import Posterior

_TINY = 1e-300


def averaged_posterior(prefs: Preferences, centre: Model, draws: Model) -> Posterior:
    """Posterior of attentiveness of the users of `prefs`, averaged over `draws` (stacked).

    `centre` is a model of the same types, its strength complete with names. Where draws move the nodes, the
    nodes of all draws stand side by side; otherwise probabilities are averaged node by node.
    """
    with jax.enable_x64(True):
        data, at, row = prepare(prefs, centre.prior, centre.strength, centre.behavior)
        moving = len(centre.prior.support()) > 0
        view = _side_by_side if moving else _on_the_same_nodes
        probabilities, log_votes, eta = (np.asarray(x) for x in view(draws, at, data))
    order = np.argsort(eta, kind="stable")
    keep = worth_keeping(probabilities[:, order], centre.prior)
    kept = probabilities[:, order[keep]]
    found = on_nodes(prefs, centre.prior, row, kept, log_votes[:, order], eta[order], keep)
    return with_behavior(found, at.behavior)  # at its posterior mean


@jax.jit
def _side_by_side(draws: Model, at: Model, data: Data) -> Any:
    """Every pair of a draw and one of its nodes is a node: leaving out a vote reweights the draws, too."""

    def one(model: Model) -> Any:
        model = arranged(model, at)
        _, probabilities = marginal(
            data.layout.forward(log_p_table(model, data.index)), model.prior.log_weights()
        )
        return probabilities, log_p_table(model, data.index), model.prior.nodes().eta

    probabilities, terms, eta = jax.lax.map(one, draws)
    n_draws, n_rows, k = probabilities.shape
    wide = jnp.moveaxis(probabilities, 0, 1).reshape(n_rows, n_draws * k) / n_draws
    return wide, jnp.moveaxis(terms, 0, 1).reshape(-1, n_draws * k), eta.reshape(-1)


@jax.jit
def _on_the_same_nodes(draws: Model, at: Model, data: Data) -> Any:
    """Probabilities averaged at each node.

    To leave out a vote divides by its probability, so that what is kept of it at a node is the harmonic
    mean over the draws, each with the users it has there: exact if the strengths are known.
    """
    first = arranged(jax.tree.map(lambda x: x[0], draws), at)
    eta = first.prior.nodes().eta
    multiplicity = data.layout.multiplicity

    def add(total: Any, model: Model) -> tuple[Any, None]:
        model, (probabilities, mass, inverse) = arranged(model, at), total
        _, own = marginal(data.layout.forward(log_p_table(model, data.index)), model.prior.log_weights())
        users = multiplicity @ own + _TINY
        terms = log_p_table(model, data.index)
        return (probabilities + own, mass + users, inverse + users[None, :] * jnp.exp(-terms)), None

    terms = log_p_table(first, data.index)
    zero = jnp.zeros((multiplicity.shape[0], eta.shape[0])), jnp.zeros_like(eta), jnp.zeros_like(terms)
    (probabilities, mass, inverse), _ = jax.lax.scan(add, zero, draws)
    n_draws = jax.tree.leaves(draws)[0].shape[0]
    return probabilities / n_draws, jnp.log(mass)[None, :] - jnp.log(inverse), eta
