"""PerItem: a random strength per item (pair of answers), with a discrete distribution over items."""

from dataclasses import field
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emjax.data.comparison_table import ComparisonTable
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray
from emjax.model.bradley_terry import backtrack
from emjax.model.design import Design, known_design
from emjax.model.parameters import IDENTITY, WHOLE_LINE, Parameter, Transform, Vector, logit
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.strength import Index, Strength

_WIDEST = 4.0  # logit of the outermost node where only a number of nodes is given
_FLAT = 1e-4  # a ridge on the logarithms of the weights, so that an empty node stays at a finite one
_REACH, _STEPS = 2.0, 3  # largest move of a coordinate in one Newton step, and how many there are
_UNNAMED = 0.01  # the penalty where there is one number to shrink, and no variance to estimate
_PENALTIES = (1e-4, 1e4)  # the range of an estimated one
_SIDES = ("A", "B")  # of comparisons without named models


@record
class PerItem(Strength):
    """A strength of its own for every comparison, drawn from a distribution that is learned.

    For votes where several users judged the same pair of answers: each such pair is a comparison (an
    item), and users who agree with the others are inferred to be attentive, whichever model is better.

    Parameters
    ----------
    nodes
        The strengths an item can have: how many, evenly spaced in log-odds from -4 to 4; or the
        probabilities themselves, ascending, as many above ½ as below. 2 says that one answer is right (the
        latent truth of crowdsourcing); more allow for pairs without a better answer.
    l2
        Ridge penalty on the models' strengths, in the sense of a normal prior with variance 1/l2. By default
        the variance is estimated, by the marginal likelihood of items; 0.01 where no models are named.
    log_weights, strengths, models
        The distribution of items of equally strong models over the nodes, and how models shift it; filled in
        by a fit, and a starting point for the next.
    penalty
        The ridge penalty as estimated, or as given; filled in by a fit.
    by_context
        Whether items are distinguished by the votes' contexts; filled in by a fit.

    Raises
    ------
    ModelError
        When nodes are fewer than two, not between 0 and 1, not ascending or not symmetric about ½.

    Notes
    -----
    Models shift the log-weights of an item: log v_h = b_h + (s_a − s_b)·t_h plus a constant, with t_h from
    −½ to ½ over the nodes. With two nodes s_a − s_b are the log-odds that A's answer is the better one. Where
    comparisons have no models, one such number is shared by all items.

    A limit: users and items are inferred from each other by passing messages (belief propagation), which is
    exact where the graph of votes has no cycles and an approximation elsewhere. There are no standard errors.

    Source: Karger, Oh & Shah (2011) and Liu, Peng & Ihler (2012) for messages between workers and items.

    Examples
    --------
    >>> PerItem()
    PerItem(nodes=[0.018, 0.5, 0.982])
    """

    nodes: Any = 3
    l2: float | None = static(default=None)
    log_weights: Any = None
    strengths: Any = None
    models: tuple[str, ...] = static(default=())
    penalty: Any = None
    n_relative: Any = field(default=0, repr=False)
    by_context: bool | None = static(default=None, repr=False)

    parameters = (
        Parameter(
            "log_weights",
            lambda of: tuple(f"items at {mu:.3g} or {1 - mu:.3g}" for mu in of.nodes[: len(of.nodes) // 2]),
            lambda of: _mirrored(len(of.nodes)),
            shown=lambda of: 2.0 * jax.nn.softmax(jnp.asarray(of.log_weights))[: len(of.nodes) // 2],
            limits=lambda of: [(0.0, 1.0)] * (len(of.nodes) // 2),
        ),
        Parameter(
            "strengths",
            lambda of: _strength_names(of.models),
            IDENTITY,
            shown=lambda of: _centred(of.strengths, of.models),
            limits=lambda of: [WHOLE_LINE] * len(_strength_names(of.models)),
        ),
    )

    def __post_init__(self) -> None:
        set_fields(self, nodes=_nodes(self.nodes), models=tuple(self.models))
        if self.l2 is not None and not (np.isfinite(self.l2) and self.l2 > 0):
            raise ModelError(f"PerItem needs a ridge penalty l2 > 0, or none; got {self.l2!r}.")
        for name in ("log_weights", "strengths"):
            if getattr(self, name) is not None:
                set_fields(self, **{name: np.array(getattr(self, name), dtype=np.float64)})
        for name, size in (("log_weights", len(self.nodes)), ("strengths", len(self.models))):
            given = getattr(self, name)
            if given is not None and given.shape != (size,):
                raise ModelError(
                    f"PerItem needs one of {name} per {'node' if name == 'log_weights' else 'model'}, {size} "
                    f"here; got shape {given.shape}."
                )
        if self.log_weights is not None:
            set_fields(self, log_weights=0.5 * (self.log_weights + self.log_weights[::-1]))

    def start(self, table: ComparisonTable) -> Self:
        models = tuple(str(x) for x in table.models) if table.has_models else _SIDES
        known = {} if self.strengths is None else dict(zip(self.models, self.strengths, strict=True))
        weights = np.zeros(len(self.nodes)) if self.log_weights is None else self.log_weights
        strengths = np.array([known.get(model, 0.0) for model in models])
        moved = {"log_weights": np.asarray(weights), "strengths": strengths}
        estimated = self.l2 is None and table.has_models
        fixed = _UNNAMED if self.l2 is None else self.l2
        penalty = np.float64(fixed if not estimated else 1.0 if self.penalty is None else self.penalty)
        started = replace(
            self, models=models, by_context=table.contexts is not None, penalty=penalty, **moved
        )
        pairs = np.unique(started.index(table), axis=0)
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(models),) * 2)
        count = connected_components(graph, directed=False)[0]
        return replace(started, n_relative=len(models) - count if estimated else 0)

    def index(self, table: ComparisonTable) -> np.ndarray:
        if self.by_context is not None and self.by_context != (table.contexts is not None):
            known, seen = ("with" if x else "without" for x in (self.by_context, not self.by_context))
            raise ModelError(
                f"the fit is of votes read {known} a column that identifies pairs of answers, and these "
                f"were read {seen} it: read both with the same context=COLUMN (command line: --item COLUMN)."
            )
        if not table.has_models:
            if self.models not in ((), _SIDES):
                raise ModelError(
                    "the fit is of votes on named models, and these name none: read them with their models."
                )
            return np.tile(np.array([[0, 1]]), (table.n_comparisons, 1))
        known = np.array(self.models, dtype=object).astype(str)
        names = table.comparisons.astype(str)
        order = np.argsort(known)
        at = order[np.searchsorted(known, names, sorter=order).clip(max=len(known) - 1)]
        unknown = np.unique(names[known[at] != names])
        if unknown.size:
            raise ModelError(
                f"{unknown.size} models of these votes are not in the fit, first "
                f"{', '.join(unknown[:3])}: fit again with their votes included."
            )
        return at.astype(np.int64)

    def node_logits(self) -> Float[AnyArray, " nodes"]:
        """Log-odds of the nodes."""
        return logit(jnp.asarray(self.nodes))

    def log_prior_of(self, index: Index) -> Float[AnyArray, "comparisons nodes"]:
        """Log-weights of the nodes for an item of each of these pairs of models, before any vote on it."""
        s = jnp.asarray(self.strengths)
        lean = s[index[:, 0]] - s[index[:, 1]]
        tilted = jnp.asarray(self.log_weights)[None] + lean[:, None] * self._tilt()[None]
        return jax.nn.log_softmax(tilted, axis=1)

    def learned(
        self,
        items: Float[AnyArray, "items nodes"],
        pair: Int[Array, " items"],
        pairs: Int[Array, "pairs two"],
    ) -> Self:
        """Newton steps on the items' marginal likelihood, from their log-likelihoods at the nodes.

        Not those of EM, which converge slowly where a node is all but empty.
        """
        start = self.coordinates()
        ridge = self._ridge(start)

        def value(x: Vector) -> Float[AnyArray, ""]:
            seen = jax.nn.logsumexp(self.at(x).log_prior_of(pairs)[pair] + items, axis=1)
            return jnp.sum(seen) + self.at(x).log_prior()

        def newton(_: Any, state: tuple[Vector, Float[AnyArray, ""]]) -> tuple[Vector, Float[AnyArray, ""]]:
            x, best = state
            slope, information = self.at(x)._derivatives(items, pair, pairs)
            move = _ascent(information + jnp.diag(ridge), slope - ridge * x)
            move = move * jnp.minimum(1.0, _REACH / jnp.maximum(jnp.max(jnp.abs(move)), 1e-300))
            return backtrack(value, x, move, best)

        return self.at(jax.lax.fori_loop(0, _STEPS, newton, (start, value(start)))[0])

    def _derivatives(
        self,
        items: Float[AnyArray, "items nodes"],
        pair: Int[Array, " items"],
        pairs: Int[Array, "pairs two"],
    ) -> tuple[Vector, Float[AnyArray, "n n"]]:
        """Gradient and observed information of the items' marginal likelihood, without log priors."""
        log_prior, half, of_pairs = self.log_prior_of(pairs), self._half, self._of_pairs(pairs)
        n = jnp.bincount(pair, length=pairs.shape[0]).astype(items.dtype)
        before, after = jnp.exp(log_prior), jax.nn.softmax(log_prior[pair] + items, axis=1)
        by_pair = jax.ops.segment_sum(after, pair, pairs.shape[0])
        products = jax.ops.segment_sum(after[:, :, None] * after[:, None, :], pair, pairs.shape[0])
        spread = n[:, None, None] * _covariance(before, before[:, :, None] * before[:, None, :])
        # How the log-weights of a pair's items move with their own coordinates, and with s_a − s_b.
        moved = jnp.concatenate([self._own_weights(), self._tilt()[:, None]], axis=1)
        slope = (by_pair - n[:, None] * before) @ moved
        bend = jnp.einsum("hd,phk,ke->pde", moved, spread - _covariance(by_pair, products), moved)
        gradient = jnp.append(jnp.sum(slope[:, :half], axis=0), of_pairs.transposed(slope[:, half]))
        mixed = of_pairs.transposed(bend[:, half, :half])
        own, models = jnp.sum(bend[:, :half, :half], axis=0), of_pairs.weighted_gram(bend[:, half, half])
        return gradient, jnp.block([[own, mixed.T], [mixed, models]])

    def with_estimated_penalty(
        self,
        items: Float[AnyArray, "items nodes"],
        pair: Int[Array, " items"],
        pairs: Int[Array, "pairs two"],
    ) -> Self:
        """The penalty moved towards its maximum marginal likelihood, by Laplace's approximation.

        With V the inverse of information H plus penalty λ, where λ's derivative is zero
        γ = λ (sᵀs + tr(V dH/dλ)), with γ = n − λ · (trace of V without the free levels). Without tr(V dH/dλ),
        as in MacKay (1992), few votes per model would give far too small a variance. Only for named models.
        """
        x = self.coordinates()

        def information(x: Vector) -> Float[AnyArray, "n n"]:
            return self.at(x)._derivatives(items, pair, pairs)[1]

        inverse = _inverse_of_absolute(information(x) + jnp.diag(self._ridge(x)))
        s, penalty = x[self._half :], jnp.asarray(self.penalty)
        spread = jnp.trace(inverse[self._half :, self._half :]) * penalty - (s.shape[0] - self.n_relative)
        determined = jnp.clip(self.n_relative - spread, 1e-3, self.n_relative)
        moved = -inverse[:, self._half :] @ s  # how the estimates move with the penalty
        changed = jnp.sum(inverse * jax.jvp(information, (x,), (moved,))[1])
        found = determined / jnp.maximum(jnp.sum(s**2) + changed, 1e-3 * jnp.sum(s**2))
        return replace(self, penalty=jnp.clip(found, 0.1 * penalty, 10.0 * penalty).clip(*_PENALTIES))

    def bare(self) -> Self:
        return replace(self, models=(), by_context=None)

    def mirrored(self) -> Self:
        return replace(self, strengths=-np.asarray(self.strengths))

    @property
    def items_are_latent(self) -> bool:
        return True

    def _own_weights(self) -> Float[AnyArray, "nodes half"]:
        """Which coordinate is the log-weight of each node."""
        h = jnp.arange(len(self.nodes))
        return jnp.zeros((len(h), self._half)).at[h, jnp.minimum(h, len(h) - 1 - h)].set(1.0)

    def _of_pairs(self, pairs: Int[Array, "pairs two"]) -> Design:
        """s_a − s_b of each pair of models."""
        n, signs = pairs.shape[0], jnp.array([1.0, -1.0])
        size = jnp.asarray(self.strengths).shape[0]
        return Design(pairs, jnp.broadcast_to(signs, (n, 2)), jnp.zeros(n), size)

    def design(self, index: Index) -> Design:
        """Log-odds of the mean strength of an item of each pair of models, before any vote on it."""
        mean = jnp.exp(self.log_prior_of(index)) @ jnp.asarray(self.nodes)
        return known_design(logit(mean), self.n_coordinates())

    def maximise(self, votes, nodes, index, behavior) -> Self:
        return self  # `learned` is its M-step: it sees items, not votes

    def log_prior(self) -> Float[AnyArray, ""]:
        x = self.coordinates()
        normalised = 0.5 * self.n_relative * jnp.log(jnp.asarray(self.penalty))
        return normalised - 0.5 * jnp.sum(self._ridge(x) * x**2)

    @property
    def _half(self) -> int:
        """How many nodes have a weight of their own: the others are their mirror images."""
        return (len(self.nodes) + 1) // 2

    def _ridge(self, x: Vector) -> Float[AnyArray, " n"]:
        each = jnp.broadcast_to(jnp.asarray(self.penalty), (x.shape[0] - self._half,))
        return jnp.append(jnp.full(self._half, _FLAT), each)

    def _tilt(self) -> Float[AnyArray, " nodes"]:
        logits = self.node_logits()
        return 0.5 * logits / logits[-1]


def _mirrored(n: int) -> Transform:
    """Log-weights of n nodes, of which the last are the mirror images of the first."""

    def whole(own: Vector) -> Float[AnyArray, " nodes"]:
        return jnp.concatenate([own, own[::-1][n % 2 :]])

    return Transform(lambda x: jnp.asarray(x)[: (n + 1) // 2], whole, WHOLE_LINE, size=lambda n: (n + 1) // 2)


def _strength_names(models: tuple[str, ...]) -> tuple[str, ...]:
    return ("lean to A",) if models == _SIDES else tuple(f"strength of {name}" for name in models)


def _centred(strengths: Any, models: tuple[str, ...]) -> Vector:
    s = jnp.asarray(strengths)
    return (s[0] - s[1])[None] if models == _SIDES else s - jnp.mean(s)


def _ascent(curvature: Float[AnyArray, "n n"], gradient: Vector) -> Vector:
    """Newton's step; by the absolute curvature, so that it is an ascent, where the matrix is indefinite."""
    factor = jnp.linalg.cholesky(curvature)

    def absolute() -> Vector:
        sizes, axes = jnp.linalg.eigh(curvature)
        sizes = jnp.maximum(jnp.abs(sizes), 1e-9 * jnp.max(jnp.abs(sizes)))
        return axes @ ((axes.T @ gradient) / sizes)

    return jax.lax.cond(jnp.all(jnp.isfinite(factor)), lambda: cho_solve((factor, True), gradient), absolute)


def _inverse_of_absolute(matrix: Float[AnyArray, "n n"]) -> Float[AnyArray, "n n"]:
    """The inverse of a symmetric matrix with the absolute values of its eigenvalues."""
    factor = jnp.linalg.cholesky(matrix)

    def absolute() -> Float[AnyArray, "n n"]:
        sizes, axes = jnp.linalg.eigh(matrix)
        return (axes / jnp.maximum(jnp.abs(sizes), 1e-300)[None]) @ axes.T

    unit = jnp.eye(matrix.shape[0])
    return jax.lax.cond(jnp.all(jnp.isfinite(factor)), lambda: cho_solve((factor, True), unit), absolute)


def _covariance(mean, products):
    """diag(mean) − products, pair by pair."""
    return jnp.eye(mean.shape[1])[None] * mean[:, None, :] - products


def _nodes(given: Any) -> np.ndarray:
    if isinstance(given, int | np.integer):
        if given < 2:
            raise ModelError(f"PerItem needs at least two nodes; got {given}.")
        return 1.0 / (1.0 + np.exp(-np.linspace(-_WIDEST, _WIDEST, int(given))))
    try:
        nodes = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"PerItem(nodes) takes a number, or probabilities; got {given!r}.") from None
    inside = nodes.ndim == 1 and len(nodes) >= 2 and bool(((nodes > 0) & (nodes < 1)).all())
    if not (inside and (np.diff(nodes) > 0).all() and np.allclose(nodes, 1.0 - nodes[::-1])):
        raise ModelError(
            f"PerItem needs two or more nodes between 0 and 1, ascending and symmetric about 1/2; "
            f"got {given!r}."
        )
    return nodes
