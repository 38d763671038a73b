"""The marginal log-likelihood as a sampler needs it: value and gradient in one pass, on few nodes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.infer.coordinates import n_support, n_table
from emjax.infer.count_layout import Dense, Layout
from emjax.infer.steps import expected_votes
from emjax.infer.votes_on_device import Data
from emjax.model.array_namespace import AnyArray
from emjax.model.likelihood import Nodes, log_probabilities, marginal
from emjax.model.model import Model
from emjax.model.prior import Attentiveness
from emjax.model.pytree import replace

_STRIDES = (32, 24, 16, 12, 8, 6, 4, 3, 2)  # of the 512 nodes of a density
_EXACT = 0.02  # log-likelihood units that fewer nodes may be off by, over all the posterior
_GOOD = 0.2  # the same for the farthest of all draws
_NO_USER = 1e-13
_STEP = 16
_LARGE = 1 << 16  # numbers in a matrix of counts


class VotesOnNodes(NamedTuple):
    """The votes, and the nodes of attentiveness that the likelihood is summed over."""

    data: Data
    nodes: Any  # (K,) which of the prior's nodes
    rule: Any  # (G,) log of how many nodes each node of the prior stands for; −inf for those left out
    likelihood: Any  # (n, K) likelihood of each row at each node up to a factor, or None where it changes


@jax.custom_jvp
def marginal_sum(
    table: Float[AnyArray, "terms nodes"], log_weights: Float[AnyArray, " nodes"], layout: Layout
) -> Float[AnyArray, ""]:
    """Log L of all rows. Its gradient is the E-step (Fisher's identity): votes and mass per node."""
    return expected_votes(layout.forward(table), layout, log_weights).log_likelihood


@marginal_sum.defjvp
def _by_the_e_step(primals, tangents):
    table, log_weights, layout = primals
    move, tilt, _ = tangents
    expected = expected_votes(layout.forward(table), layout, log_weights)
    slope = jnp.sum(expected.votes.reshape(table.shape) * move) + jnp.sum(expected.mass * tilt)
    return expected.log_likelihood, slope


def without_rows(model: Model) -> Model:
    """The model without the vote features of single comparisons, which thousands of draws would repeat."""
    features = model.behavior.features
    if features is None:
        return model
    return replace(model, behavior=replace(model.behavior, features=replace(features, rows=None)))


def arranged(model: Model, at: Model) -> Model:
    """A draw as the kernels take it for the votes that the model `at` is prepared for."""
    return replace(model, behavior=at.behavior.at(model.behavior.coordinates()))


def log_likelihood(model: Model, votes: VotesOnNodes) -> Float[AnyArray, ""]:
    """Marginal log-likelihood of the votes; up to a constant where `votes.likelihood` is given."""
    log_weights, layout = _log_weights(model, votes), votes.data.layout
    if votes.likelihood is not None:
        return jnp.sum(layout.multiplicity * jnp.log(votes.likelihood @ jnp.exp(log_weights)))
    return marginal_sum(_table(model, votes), log_weights, layout)


def row_log_likelihood(model: Model, votes: VotesOnNodes) -> Float[AnyArray, "rows nodes"]:
    """Log-likelihood of every row at every node kept."""
    return votes.data.layout.forward(_table(model, votes))


def row_evidence(model: Model, votes: VotesOnNodes) -> Float[AnyArray, " rows"]:
    """Marginal log-likelihood of every row."""
    return marginal(row_log_likelihood(model, votes), _log_weights(model, votes))[0]


def _log_weights(model: Model, votes: VotesOnNodes) -> Float[AnyArray, " nodes"]:
    # A distribution on the rule's nodes, whatever the model: one narrower than their distance, far from where
    # they were placed, would otherwise count some of its mass many times over, and attract the chains.
    return jax.nn.log_softmax(model.prior.log_weights() + votes.rule)[votes.nodes]


def _table(model: Model, votes: VotesOnNodes) -> Float[AnyArray, "terms nodes"]:
    nodes = Nodes(*(jnp.asarray(x)[votes.nodes] for x in model.prior.nodes()))
    full = log_probabilities(model.behavior, nodes, votes.data.index.logits(model.strength))
    return full.reshape(-1, full.shape[2])


def all_nodes(prior: Attentiveness, data: Data) -> VotesOnNodes:
    """The votes on every node of the prior."""
    count = prior.nodes().eta.shape[0]
    data = replace(data, layout=_unpadded(data.layout))
    return VotesOnNodes(data, jnp.arange(count), jnp.zeros(count), None)


def _unpadded(layout: Layout) -> Layout:
    """A large matrix of counts with fewer of the empty rows that let fits share compiled code.

    A sampler multiplies by it many thousand times, which then takes longer than to compile.
    """
    counts = getattr(layout, "counts", None)
    if counts is None or counts.size < _LARGE:
        return layout
    rows = int(np.flatnonzero(np.asarray(layout.multiplicity)).max(initial=0)) + 1
    rows = min(-(-rows // _STEP) * _STEP, counts.shape[0] * counts.shape[1])
    return Dense(counts.reshape(1, -1, counts.shape[2])[:, :rows], layout.multiplicity[:rows])


def few_nodes(models: Model, every: VotesOnNodes) -> VotesOnNodes:
    """The votes on as few nodes as will do for all `models` (stacked): every 32nd, 16th, … of a density.

    The rule of a density converges exponentially, so that most posteriors need no more than some dozens of
    its 512 nodes. What is checked is what matters to a sampler: that differences of log L between the models
    are those on all nodes.
    """
    if not models.prior.continuous:
        return every
    mass = np.asarray(_masses(models, every)).max(axis=0)
    exact = np.asarray(_values(models, every))
    count = len(mass)
    for stride in _STRIDES:
        near = np.convolve(mass / mass.sum(), np.ones(2 * stride + 1), mode="same") > _NO_USER
        on_rule = (np.arange(count) - count // 2) % stride == 0
        rule = jnp.asarray(np.where(on_rule, np.log(float(stride)), -np.inf))
        error = np.asarray(_values(models, every._replace(rule=rule))) - exact
        if np.ptp(error) < _EXACT:
            return every._replace(nodes=jnp.asarray(_rounded_up(near & on_rule)), rule=rule)
    return every


def as_good(models: Model, votes: VotesOnNodes, every: VotesOnNodes) -> bool:
    """Whether few nodes did for these models (stacked), wherever the sampler went."""
    if len(votes.nodes) == len(every.nodes):
        return True
    return bool(np.ptp(np.asarray(_values(models, votes)) - np.asarray(_values(models, every))) < _GOOD)


def _rounded_up(kept: np.ndarray) -> np.ndarray:
    """Places of the nodes kept, and of some without a share: one of few numbers, so that code is shared."""
    place = np.flatnonzero(kept)
    wanted = min(-(-len(place) // _STEP) * _STEP, len(kept))
    return np.sort(np.append(place, np.flatnonzero(~kept)[: wanted - len(place)]))


@jax.jit
def _values(models: Model, votes: VotesOnNodes) -> Float[AnyArray, " models"]:
    return jax.lax.map(lambda model: log_likelihood(model, votes), models)


@jax.jit
def _masses(models: Model, votes: VotesOnNodes) -> Float[AnyArray, "models nodes"]:
    def mass(model: Model) -> Float[AnyArray, " nodes"]:
        return expected_votes(
            row_log_likelihood(model, votes), votes.data.layout, _log_weights(model, votes)
        ).mass

    return jax.lax.map(mass, models)


def with_likelihood(model: Model, votes: VotesOnNodes) -> VotesOnNodes:
    """The same with the rows' likelihoods tabulated, where no parameter changes them."""
    if n_support(model) or n_table(model):
        return votes
    return votes._replace(likelihood=_likelihood(model, votes))


@jax.jit
def _likelihood(model: Model, votes: VotesOnNodes) -> Float[AnyArray, "rows nodes"]:
    rows = row_log_likelihood(model, votes)
    return jnp.exp(rows - jnp.max(rows, axis=1, keepdims=True))
