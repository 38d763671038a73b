"""Bradley–Terry: one strength per model, optionally per model and context."""

import json
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emjax.data.comparison_table import ComparisonTable
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, log_sigmoid, namespace, scatter_add, sigmoid
from emjax.model.design import Design
from emjax.model.likelihood import expected_log_likelihoods, strength_slopes
from emjax.model.parameters import IDENTITY, Parameter, Part, Vector
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.strength import Index, Strength
from emjax.model.strength_covariates import covariates_of

_MOST_NEWTON_STEPS = 60


@record
class BradleyTerry(Strength):
    """One strength per model: μ of a pair is σ(s_a − s_b), with Σ s = 0.

    Parameters
    ----------
    l2
        Ridge penalty −(l2/2)·Σ s²: the prior s ~ N(0, 1/l2). The small default only keeps a model that
        never wins finite.
    l2_context
        A number gives a model a strength in each context (a topic, say), N(s, 1/l2_context) around its own s:
        partial pooling. Without it a model has one strength for all of them.
    strengths, models
        Strengths, in natural-log units, and the models' names ("ant in code" is a model in a context, in
        quotes where that could be read in two ways); filled in by a fit, and a starting point for the next.
    model_of
        With contexts, for each strength the number of its model.
    components
        Connected component of the comparison graph of each model; strengths compare only within one.
    acyclic
        Whether the comparison graph has no cycle: then every μ of a pair is free.
    covariates : Covariates, optional
        Differences between answers that move the log-odds too (style control): those that the votes were read
        with, with slopes after a fit. Give them to choose their ridge penalty.

    Raises
    ------
    ModelError
        When a ridge is negative, strengths come without their models' names, or the votes name no models, or
        no contexts where they are asked for.

    Notes
    -----
    Strengths compare only within a connected component; contexts are separate components. The scale
    of attentiveness is identified where comparisons form a cycle (A with B, B with C, C with A),
    though sometimes weakly. A fitted strength that goes in again serves the models of the new votes: new ones
    start at 0. Source: Bradley & Terry (1952).

    Examples
    --------
    >>> BradleyTerry()
    BradleyTerry(l2=0.01)
    """

    l2: float = static(default=0.01)
    strengths: Any = None
    models: tuple[str, ...] = static(default=())
    components: Any = None
    acyclic: bool = static(default=False, repr=False)
    l2_context: float | None = static(default=None)
    model_of: tuple[int, ...] = static(default=(), repr=False)
    covariates: Any = None

    parameters = (
        Parameter(
            "strengths",
            lambda of: tuple(f"strength of {name}" for name in of.models),
            IDENTITY,
            shown=lambda of: _centred(of.strengths, of.components),
        ),
        Part("covariates"),
    )

    def __post_init__(self) -> None:
        if not np.isfinite(self.l2) or self.l2 < 0:
            raise ModelError(f"BradleyTerry needs a ridge penalty l2 >= 0; got {self.l2!r}.")
        if self.l2_context is not None and not (np.isfinite(self.l2_context) and self.l2_context > 0):
            raise ModelError(f"BradleyTerry needs l2_context > 0, or none; got {self.l2_context!r}.")
        set_fields(self, l2=float(self.l2), models=tuple(self.models))
        if self.strengths is not None:
            set_fields(self, strengths=np.array(self.strengths, dtype=np.float64))
            if np.shape(self.strengths) != (len(self.models),):
                raise ModelError(
                    f"BradleyTerry needs one name per strength; got {np.size(self.strengths)} strengths and "
                    f"{len(self.models)} models."
                )
        if self.components is not None:
            set_fields(self, components=np.array(self.components, dtype=np.int64))

    def start(self, table: ComparisonTable) -> Self:
        if not table.has_models:
            raise ModelError(
                "BradleyTerry needs comparisons of two named models, and these votes have plain labels: use "
                "PerPair() or Shared(), or give comparisons as pairs of names."
            )
        models, model_of = self._entries(table)
        known = {} if self.strengths is None else dict(zip(self.models, self.strengths, strict=True))
        strengths = np.array([known.get(model, 0.0) for model in models])
        known_slopes = covariates_of(table, self.covariates)
        entries = {"strengths": strengths, "models": models, "model_of": model_of}
        start = replace(self, covariates=known_slopes, **entries)
        index = start.index(table)
        pairs = index[:, :2]
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(models),) * 2)
        count, components = connected_components(graph, directed=False)
        acyclic = len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(models) - count
        acyclic = acyclic and (known_slopes is None or _are_free(start.design(index)))
        return replace(start, components=components.astype(np.int64), acyclic=bool(acyclic))

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.models

    @property
    def n_models(self) -> int:
        """How many models there are, whatever the contexts."""
        return len(set(self.model_of)) if self.model_of else np.shape(self.strengths)[0]

    @property
    def margins_are_free(self) -> bool:
        return self.acyclic

    @property
    def starts_unadjusted(self) -> bool:
        return self.strengths is None

    def mirrored(self) -> Self:
        return self.at(-np.asarray(self.coordinates()))

    def parts(self) -> tuple[str, ...]:
        name = "BradleyTerry" if self.l2_context is None else "BradleyTerry(l2_context)"
        return (name,) if self.covariates is None else (name, "covariates")

    def _entries(self, table: ComparisonTable) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Names of what has a strength, sorted by model; with contexts, the number of the model of each."""
        if self.l2_context is None:
            return tuple(str(x) for x in table.models), ()
        if table.contexts is None:
            raise ModelError(
                "BradleyTerry(l2_context) needs votes with contexts: read them with context=COLUMN."
            )
        labelled = zip(table.comparisons, table.contexts, strict=True)
        seen = {(str(name), str(of)) for pair, of in labelled for name in pair}
        place = {str(name): number for number, name in enumerate(table.models)}
        entries = sorted(seen)
        return tuple(_in_context(*entry) for entry in entries), tuple(place[name] for name, _ in entries)

    def index(self, table: ComparisonTable) -> np.ndarray:
        names = table.comparisons if table.has_models else table.comparisons[:, None]
        where = {name: i for i, name in enumerate(self.models)}
        if self.l2_context is not None and table.has_models and table.contexts is not None:
            labelled = zip(table.comparisons, table.contexts, strict=True)
            named = [[_known_in_context(name, of, where) for name in pair] for pair, of in labelled]
            names = np.array(named, object).reshape(-1, 2)
        asked, place = np.unique(names.astype(str), return_inverse=True)
        unknown = [name for name in asked.tolist() if name not in where]
        if unknown:
            raise ModelError(
                f"{len(unknown)} models of these votes are not in the fit, first {', '.join(unknown[:3])}: "
                f"fit again with their votes included."
            )
        index = np.array([where[name] for name in asked.tolist()], np.int64)[place].reshape(len(names), -1)
        return index if self.covariates is None else np.hstack([index, self.covariates.index(table)])

    def design(self, index: Index) -> Design:
        xp, size = namespace(index), np.shape(self.strengths)[0]
        columns, values = index[:, :2], xp.broadcast_to(xp.array([1.0, -1.0]), (index.shape[0], 2))
        if self.covariates is not None:
            own, n = self.covariates.values(index[:, 2:]), index.shape[1] - 2
            places = xp.broadcast_to(size + xp.arange(n, dtype=columns.dtype), own.shape)
            columns, values = xp.concatenate([columns, places], axis=1), xp.concatenate([values, own], axis=1)
            size += n
        return Design(columns, values, xp.zeros(index.shape[0]), size)

    def log_prior(self) -> Float[AnyArray, ""]:
        x = self.coordinates()
        return -0.5 * namespace(x).sum(x * self._pulled(x))

    def _pulled(self, x: Vector) -> Float[AnyArray, " n"]:
        """How much the penalty falls with each coordinate: the matrix of the quadratic form times `x`.

        With contexts, the model's own strength is at its best for those in the contexts.
        """
        if self.covariates is None:
            return self._pulled_strengths(x)
        size = np.shape(self.strengths)[0]
        slopes = self.covariates.l2 * x[size:]
        return namespace(x).concatenate([self._pulled_strengths(x[:size]), slopes])

    def _pulled_strengths(self, s: Vector) -> Float[AnyArray, " models"]:
        if self.l2_context is None:
            return self.l2 * s
        model, pull = np.array(self.model_of), self.l2_context
        many = np.bincount(model)
        by_model = scatter_add(len(many), model, s)
        own = pull * by_model / (self.l2 + many * pull)
        return pull * (s - own[model])

    def maximise(self, votes, nodes, index, behavior) -> Self:
        design, log_prior = self.design(index), lambda s: self.at(s).log_prior()

        def objective(s):
            each = expected_log_likelihoods(behavior, nodes, design.logits(s), votes)
            return jnp.sum(each) + log_prior(s)

        def slopes(logits):
            return strength_slopes(behavior, nodes, logits, votes)

        # One Newton step: near the end it is as good as the maximum, and before, not worth a second.
        s = jnp.asarray(self.coordinates())
        logits = design.logits(s)
        first, second = jax.jvp(slopes, (logits,), (jnp.ones_like(logits),))
        # Not concave everywhere in s: the absolute curvature keeps the step an ascent direction.
        hessian = _added(design.weighted_gram(jnp.abs(second) + 1e-12), *self._regular())
        gradient = design.transposed(first) - self._pulled(s)
        move = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(hessian), gradient)
        move = move * jnp.minimum(1.0, 2.0 / jnp.maximum(jnp.max(jnp.abs(move)), 1e-300))
        return self.at(backtrack(objective, s, move, objective(s))[0])

    def unadjusted(self, table: ComparisonTable) -> Self:
        """Ordinary Bradley–Terry: the objective is concave, and Newton steps on all strengths maximise it."""
        wins, design = table.wins_by_comparison(), self.design(self.index(table))
        total, s, regular = wins.sum(axis=1), np.zeros(self.n_coordinates()), self._regular()

        def objective(s: np.ndarray) -> float:
            logits = design.logits(s)
            return float(
                np.sum(wins[:, 0] * logits + total * log_sigmoid(-logits)) - 0.5 * s @ self._pulled(s)
            )

        best = objective(s)
        for _ in range(_MOST_NEWTON_STEPS):
            mu = sigmoid(design.logits(s))
            gradient = design.transposed(wins[:, 0] - total * mu) - self._pulled(s)
            hessian = _added(design.weighted_gram(total * mu * (1.0 - mu) + 1e-12), *regular)
            move = solve(hessian, gradient, assume_a="pos")
            move *= min(1.0, 2.0 / max(np.abs(move).max(initial=0.0), 1e-300))
            there = next((t for t in 0.5 ** np.arange(30) if objective(s + t * move) >= best), 0.0) * move
            s, best = s + there, objective(s + there)
            if np.abs(there).max(initial=0.0) <= 1e-12 * (1.0 + np.abs(s).max(initial=0.0)):
                break
        return self.at(s)

    def _regular(self) -> tuple[Float[AnyArray, "models models"], Float[AnyArray, "models models"]]:
        """Curvature of the penalty, and which models share a connected component."""
        xp = namespace(self.strengths)
        eye, components = xp.eye(self.n_coordinates(), dtype=np.float64), xp.asarray(self.components)
        ridge = np.apply_along_axis(self._pulled, 1, eye) if xp is np else jax.vmap(self._pulled)(eye)
        level = (components[:, None] == components[None, :]).astype(eye.dtype)
        more = len(eye) - len(level)
        return ridge + 1e-12 * eye, xp.pad(level, ((0, more), (0, more))) if more else level

    def bare(self) -> Self:
        covariates = None if self.covariates is None else self.covariates.bare()
        return replace(self, models=(), covariates=covariates)


def _added(
    gram: Float[AnyArray, "models models"],
    ridge: Float[AnyArray, "models models"],
    level: Float[AnyArray, "models models"],
) -> Float[AnyArray, "models models"]:
    """Curvature of votes and penalty; the level of a component is free, and gets a unit of curvature too."""
    return gram + ridge + namespace(gram).trace(gram) / len(gram) ** 2 * level


def _are_free(design: Design) -> bool:
    """Whether the log-odds of different rows can take any values: the rows are linearly independent."""
    rows = np.unique(np.hstack([design.columns, design.values]), axis=0)
    if len(rows) > design.size:
        return False
    n = design.columns.shape[1]
    matrix = np.zeros((len(rows), design.size))
    np.add.at(matrix, (np.arange(len(rows))[:, None], rows[:, :n].astype(np.int64)), rows[:, n:])
    return int(np.linalg.matrix_rank(matrix)) == len(rows)


def _in_context(model: Any, context: Any) -> str:
    """What a model in a context is called; no other model in any context is called the same.

    Where the words could be divided in two ways ("a in b in c"), both names are in quotes.
    """
    plain = _without_quotes(model, context)
    if plain.find(" in ") == plain.rfind(" in ") and not plain.startswith('"'):
        return plain
    return " in ".join(json.dumps(str(name), ensure_ascii=False) for name in (model, context))


def _without_quotes(model: Any, context: Any) -> str:
    return f"{model} in {context}"


def _known_in_context(model: Any, context: Any, known: dict[str, int]) -> str:
    """The name in a fit. Fits of earlier versions have none in quotes."""
    name = _in_context(model, context)
    return name if name in known else _without_quotes(model, context)


def backtrack(objective, start, move, best):
    """The longest of `move`, half of it, a quarter … that does not lower the objective; else no move."""

    def shorter(state):
        size, *_ = state
        point = start + 0.5 * size * move
        return 0.5 * size, point, objective(point)

    def falls(state):
        size, _, value = state
        return ~(value >= best) & (size > 1e-6)

    two = jnp.full((), 2.0, start.dtype)
    _, point, value = jax.lax.while_loop(falls, shorter, (two, start, best - jnp.inf))
    better = value >= best
    return jnp.where(better, point, start), jnp.where(better, value, best)


def _centred(strengths: Vector, components: Int[AnyArray, " n"]) -> Vector:
    """Strengths that sum to 0 within each connected component."""
    xp = namespace(strengths, components)
    s, components = xp.asarray(strengths), xp.asarray(components)
    total, many = scatter_add(s.shape, components, s), scatter_add(s.shape, components, xp.ones_like(s))
    return s - (total / xp.maximum(many, 1.0))[components]
