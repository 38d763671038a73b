"""Leaderboards: models by strength, with relative standard errors and rank intervals; two models compared."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from emjax.data.comparison_table import ComparisonTable
from emjax.data.near_names import closest
from emjax.errors import ModelError
from emjax.infer.overall_strengths import pooling
from emjax.infer.ranks import differences, probability_stronger, rank_intervals, relative
from emjax.infer.standard_errors import OPEN_SCALE, StandardErrors
from emjax.model.capabilities import NO_LEADERBOARD, check_together, parts_of

# Columns without a value where none is known.
NULLABLE = ("std_err", "lower", "upper", "best_rank", "worst_rank")


class OrderErrors(NamedTuple):
    """What is not known of strengths apart from their common scale.

    Attributes
    ----------
    covariance : (K, K)
        Of relative strengths; 0 where nothing is known.
    known : (K,)
        Of which strengths there is a standard error.
    scale : float
        Standard error of a common factor of all strengths, which is 1 at the estimate; NaN where it is open.
    """

    covariance: Float[np.ndarray, "K K"]
    known: Bool[np.ndarray, " K"]
    scale: float

    @property
    def std_err(self) -> Float[np.ndarray, " K"]:
        """Standard errors of relative strengths; NaN where there are none."""
        return np.where(self.known, np.sqrt(np.maximum(np.diag(self.covariance), 0.0)), np.nan)

    def of(self, rows: Int[np.ndarray, " n"] | Bool[np.ndarray, " K"]) -> "OrderErrors":
        """Those of some of the strengths."""
        return OrderErrors(self.covariance[rows][:, rows], self.known[rows], self.scale)

    def ranks(
        self, strength: Float[np.ndarray, " K"], groups: Int[np.ndarray, " K"], level: float
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
        """Best and worst rank of each model within its group; NaN where there is no standard error."""
        best, worst = rank_intervals(strength, self.covariance, groups, known=self.known, level=level)
        return np.where(self.known, best, np.nan), np.where(self.known, worst, np.nan)


def order_errors(strength: Any, se: StandardErrors) -> OrderErrors:
    """Errors of all strengths of models that a fit has.

    They are known where the scale is open, too: the part of the error that is not is projected out.
    """
    where = _places(strength, se)
    of_note = np.array([se.notes[i] for i in where], dtype=object)
    known = (of_note == "") | (of_note == OPEN_SCALE)
    if not known.any():  # of thousands of strengths there is no covariance
        return OrderErrors(np.broadcast_to(0.0, (len(where), len(where))), known, np.nan)
    covariance, given = (matrix[np.ix_(where, where)] for matrix in (se.covariance, se.given_prior))
    found = _relative(np.asarray(strength.natural())[: len(where)], covariance, given, known)
    return found._replace(scale=np.nan) if (of_note == OPEN_SCALE).any() else found


def _places(strength: Any, se: StandardErrors) -> Int[np.ndarray, " K"]:
    """Where the strengths of models are among the parameters."""
    place = {name: i for i, name in enumerate(se.names)}
    return np.array([place[f"strength of {name}"] for name in strength.models], np.int64)


def _relative(
    strength: Float[np.ndarray, " K"],
    covariance: Float[np.ndarray, "K K"],
    given_scale: Float[np.ndarray, "K K"],
    known: Bool[np.ndarray, " K"],
) -> OrderErrors:
    inside = np.ix_(known, known)
    whole = np.zeros_like(covariance)
    whole[inside], scale = relative(strength[known], covariance[inside], given_scale[inside])
    return OrderErrors(whole, known, scale)


class Difference(NamedTuple):
    """How much stronger one model is than another.

    Attributes
    ----------
    estimate, std_err, lower, upper : float
        The difference of their strengths in log-odds, apart from the common scale of all strengths, with its
        standard error and interval; NaN where the votes do not determine it.
    probability : float
        That the first model is the stronger one.

    Examples
    --------
    >>> Difference(0.4, 0.1, 0.2, 0.6, 0.99997).probability > 0.95
    True
    """

    estimate: float
    std_err: float
    lower: float
    upper: float
    probability: float


def compared(strength: Any, se: StandardErrors, a: str, b: str) -> Difference:
    """The difference between the strengths of two models of a fit."""
    check_together([*parts_of(strength), "leaderboard"])
    models = [str(name) for name in strength.models]
    for name in (a, b):
        if name not in models:
            near = " or ".join(repr(one) for one in closest(models, (str(name),)))
            remedy = f"did you mean {near}?" if near else f"they are {', '.join(models[:5])}, ..."
            raise ModelError(f"no model of this fit is called {name!r}: {remedy}")
    one, other = models.index(a), models.index(b)
    components = np.asarray(strength.components)
    if components[one] != components[other]:
        raise ModelError(
            f"no votes connect {a} and {b}, and their strengths do not compare: collect votes between them."
        )
    errors = order_errors(strength, se).of(np.array([one, other]))
    s = np.asarray(strength.natural())[[one, other]]
    apart, std_errs = differences(s, errors.covariance)
    estimate, known = float(apart[0, 1]), bool(errors.known.all())
    std_err = float(std_errs[0, 1]) if known else np.nan
    probability = float(probability_stronger(s, errors.covariance)[0, 1]) if known else np.nan
    half_width = float(ndtri(0.5 + 0.5 * se.level)) * std_err
    return Difference(estimate, std_err, estimate - half_width, estimate + half_width, probability)


def leaderboard_columns(
    strength: Any, se: StandardErrors, table: ComparisonTable, penalised: StandardErrors | None = None
) -> dict[str, np.ndarray]:
    """Columns of `leaderboard.parquet`, strongest model first; Bradley–Terry strengths only.

    model, strength, std_err, lower, upper, n_votes, rank, best_rank, worst_rank, ordinary_strength (the same
    votes, unadjusted), `component` (connected component of the comparisons: strengths of different components
    do not compare, and ranks are within a component). Standard errors and intervals are of relative
    strengths, without the error of their common scale; rank intervals are right all together.

    Where strengths differ by context there is a first column `context`, and rows are the overall ranking
    (context None), then the ranking in each context, that of most votes first; each with the models that
    have votes in it. Standard errors of overall strengths are from `penalised`: standard errors with the log
    priors as information, which those of a posterior are.
    """
    check_together([*parts_of(strength), "leaderboard"])
    if not strength.model_names:  # of a class from outside
        raise ModelError(NO_LEADERBOARD.format(type(strength).__name__))
    where, errors = _places(strength, se), order_errors(strength, se)
    index = strength.index(table)[:, :2]
    cast = np.repeat(table.votes_by_comparison().sum(axis=1), 2)
    with jax.enable_x64(True):
        plain = strength.at(np.zeros(strength.n_coordinates())).unadjusted(table)
        ordinary = np.asarray(plain.natural())[: len(where)]
        own = np.asarray(strength.natural())[: len(where)]
    each = {
        "model": np.array(strength.models, dtype=object),
        "strength": own,
        "n_votes": np.bincount(index.ravel(), cast, len(where)),
        "ordinary_strength": ordinary,
        "component": np.asarray(strength.components),
    }
    if strength.l2_context is None:
        return _ranked(each, errors, se.level)
    # A name such as "a in b in c" is not read: what a strength is of, the comparisons tell.
    held, first = np.unique(index, return_index=True)
    names = np.array([str(x) for pair in table.comparisons for x in pair], dtype=object)[first]
    context = np.array([str(x) for x in np.asarray(table.contexts)], dtype=object)[first // 2]
    listed = each["n_votes"][held] > 0
    held, context = held[listed], context[listed]
    in_contexts = {name: values[held] for name, values in each.items()} | {"model": names[listed]}
    contexts = _context_of(each["component"], held, context)
    penalised = se if penalised is None else penalised
    overall = _overall(strength, penalised, each, in_contexts, held, contexts)
    blocks = [_ranked(*overall, se.level)]
    votes = {of: in_contexts["n_votes"][context == of].sum() for of in sorted(set(context.tolist()))}
    by_votes = sorted(votes, key=lambda of: -votes[of])  # those with as many stay in the order of names
    for of in by_votes:
        here = {name: values[context == of] for name, values in in_contexts.items()}
        blocks.append(_ranked(here, errors.of(held[context == of]), se.level))
    sizes = [len(block["model"]) for block in blocks]
    column = np.repeat(np.array([None, *by_votes], dtype=object), sizes)
    return {"context": column} | {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}


def _context_of(components: np.ndarray, held: np.ndarray, context: np.ndarray) -> np.ndarray:
    """(n,) number of the context of each strength; one of its own for a component that has no votes here."""
    of_component = dict(zip(components[held].tolist(), context.tolist(), strict=True))
    named = [of_component.get(one, (one,)) for one in components.tolist()]
    number = {of: i for i, of in enumerate(dict.fromkeys(named))}
    return np.array([number[of] for of in named], np.int64)


def _overall(
    strength: Any,
    penalised: StandardErrors,
    each: dict[str, np.ndarray],
    in_contexts: dict[str, np.ndarray],
    held: np.ndarray,
    contexts: np.ndarray,
) -> tuple[dict[str, np.ndarray], OrderErrors]:
    """One row per model with votes: its mean over the contexts, those without votes on it included.

    `each` has all strengths of the fit, `in_contexts` those of the numbers `held`, with names of models.
    """
    pool = pooling(strength.model_of, each["component"], contexts, strength.l2, strength.l2_context)
    where = _places(strength, penalised)
    unclear = np.isnan(penalised.std_err[where]) & np.array([penalised.notes[i] != OPEN_SCALE for i in where])
    number = np.asarray(strength.model_of, np.int64)[held]
    models, first = np.unique(number, return_index=True)
    found = pool.weights @ each["strength"]
    if unclear.all():  # of thousands of strengths there is no covariance
        n = len(models)
        errors = OrderErrors(np.broadcast_to(0.0, (n, n)), np.zeros(n, dtype=bool), np.nan)
    else:
        both = penalised.covariance, penalised.given_prior
        covariance, given = (pool.covariance(matrix[np.ix_(where, where)]) for matrix in both)
        known = ~((np.abs(pool.weights) > 1e-12) @ unclear)
        errors = _relative(found, covariance, given, known).of(models)
    block = {
        "model": in_contexts["model"][first],
        "strength": found[models],
        "n_votes": np.bincount(number, in_contexts["n_votes"], len(found))[models],
        "ordinary_strength": (pool.weights @ each["ordinary_strength"])[models],
        "component": pool.components[models],
    }
    return block, errors


def _ranked(block: dict[str, np.ndarray], errors: OrderErrors, level: float) -> dict[str, np.ndarray]:
    """One ranking with its intervals, strongest model first; ranks and numbers of components from 1."""
    own, std_err = block["strength"], errors.std_err
    components = np.unique(block["component"], return_inverse=True)[1]
    order = np.lexsort((-own, components))
    rank = np.empty(len(own), dtype=np.int64)
    starts = np.searchsorted(components[order], components[order])
    rank[order] = np.arange(len(own)) - starts + 1
    best, worst = errors.ranks(own, components, level)
    half_width = ndtri(0.5 + 0.5 * level) * std_err
    columns = {
        "model": block["model"],
        "strength": own,
        "std_err": std_err,
        "lower": own - half_width,
        "upper": own + half_width,
        "n_votes": block["n_votes"],
        "rank": rank,
        "best_rank": best,
        "worst_rank": worst,
        "ordinary_strength": block["ordinary_strength"],
        "component": components + 1,
    }
    order = np.lexsort((block["model"].astype(str), -own))
    return {name: values[order] for name, values in columns.items()}
