"""A fit as tables: columns of comparisons and models, and lines of text for people."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from scipy.special import ndtri

from emjax.data.comparison_table import ComparisonTable, contexts_as_listed
from emjax.errors import ModelError
from emjax.infer.overall_strengths import pooling
from emjax.infer.standard_errors import OPEN_SCALE, StandardErrors
from emjax.model.capabilities import NO_LEADERBOARD, check_together, parts_of
from emjax.model.strength import Strength

_MOST = 12  # rows of a table; a fit can have thousands


def counted(number: float, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "user"), counted(2000, "user")
    ('1 user', '2,000 users')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def parameter_lines(strength: Any, se: StandardErrors, leaderboard: Sequence[str] | None = None) -> list[str]:
    """Estimates with standard errors and intervals, under headings; of many, the first.

    Bradley–Terry strengths come last, by model, the strongest first; or the lines of a leaderboard in their
    place.
    """
    rows = [(" ".join(e.name.split()), e.row()) for e in se]
    if not strength.model_names:
        return _table("parameter", "estimate", se.level, rows)
    first = se.names.index(strength.names()[0])
    last = first + len(strength.models)
    order = np.argsort(-np.asarray(strength.strengths), kind="stable")
    models = [(" ".join(strength.models[i].split()), rows[first + i][1]) for i in order]
    rest = rows[:first] + rows[last:]
    width = max(_columns(name) for name, _ in rest + models[: _MOST + 1])
    others = _table("parameter", "estimate", se.level, rest, width)
    if leaderboard is not None:
        return [*others, *leaderboard]
    noun, several = ("model in context", "models in contexts") if strength.model_of else ("model", "models")
    return others + _table(noun, "strength", se.level, models, width, several)


def _table(
    noun: str,
    value: str,
    level: float,
    rows: list[tuple[str, str]],
    width: int = 0,
    several: str = "parameters",
) -> list[str]:
    if not rows:
        return []
    shown = rows[:_MOST] if len(rows) > _MOST + 1 else rows
    width = max([width, len(noun)] + [_columns(name) for name, _ in shown])
    lines = [f"{noun:{width}}  {value:>8}   std_err   {level:.0%} interval"]
    lines += [f"{name}{' ' * (width - _columns(name))}  {row}" for name, row in shown]
    more = len(rows) - len(shown)
    return lines + ([f"… and {more:,} more {several}"] if more else [])


def _columns(text: str) -> int:
    """How wide a terminal shows it: a Chinese character takes two columns, an accent none."""
    wide = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1) for c in text)


def comparison_columns(
    strength: Any, se: StandardErrors, table: ComparisonTable, items: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Columns of `comparisons.parquet`, one value per comparison of `table`.

    model_a, model_b (labels without models have their label as model_a), strength μ, std_err (NaN where it
    is known or not determined), n_votes, wins_a; ties and context where the votes have them.

    Under PerItem strengths, with the posterior of the `items` over its nodes: strength and std_err are the
    posterior mean and standard deviation; prob_a is the probability that A's answer is the better one (half
    of a toss-up), consensus the better one, prob_consensus its probability; the context is the item.
    """
    with jax.enable_x64(True):
        design = strength.design(strength.index(table))
        columns = np.asarray(design.columns)
        mu = 1.0 / (1.0 + np.exp(-np.asarray(design.logits(strength.coordinates()))))
    own = np.isin(se.names, strength.names())
    # A model's strength is read as it is, that of a pair as a probability.
    slope = (mu * (1.0 - mu) if strength.model_names else np.ones(len(mu)))[:, None]
    slope = slope * np.asarray(design.values)
    std_err, errors = np.full(len(mu), np.nan), se.std_err[own]
    if columns.size and not np.isnan(errors).all():
        among = se.covariance[np.ix_(own, own)][columns[:, :, None], columns[:, None, :]]
        variance = np.einsum("ci,cij,cj->c", slope, among, slope)
        unclear = np.isnan(errors[columns]).any(axis=1)
        std_err = np.where(unclear, np.nan, np.sqrt(np.maximum(variance, 0.0)))
    wins, votes = table.wins_by_comparison(), table.votes_by_comparison().sum(axis=1)
    more: dict[str, np.ndarray] = {"ties": votes - wins.sum(axis=1)} if table.outcomes.ties else {}
    if table.contexts is not None:
        context = "context" if items is None else "item"
        more[context] = np.array([str(x) for x in contexts_as_listed(table)], dtype=object)
    names = table.comparisons if table.has_models else np.column_stack([table.comparisons.astype(object)] * 2)
    model_a = np.array([str(x) for x in names[:, 0]], dtype=object)
    model_b = np.array([str(x) if table.has_models else "" for x in names[:, 1]], dtype=object)
    if items is not None:
        nodes = np.asarray(strength.nodes)
        mu = items @ nodes
        std_err = np.sqrt(np.maximum(items @ nodes**2 - mu**2, 0.0))
        prob_a = items @ (0.5 * (1.0 + np.sign(np.round(nodes - 0.5, 12))))
        a, b = (model_a, model_b) if table.has_models else ("A", "B")
        more["prob_a"] = prob_a
        more["consensus"] = np.where(np.round(prob_a, 12) >= 0.5, a, b).astype(object)
        more["prob_consensus"] = np.maximum(prob_a, 1.0 - prob_a)
    return {
        "model_a": model_a,
        "model_b": model_b,
        "strength": mu,
        "std_err": std_err,
        "n_votes": votes,
        "wins_a": wins[:, 0],
        **more,
    }


def leaderboard_columns(
    strength: Any, se: StandardErrors, table: ComparisonTable, penalised: StandardErrors | None = None
) -> dict[str, np.ndarray]:
    """Columns of `leaderboard.parquet`, strongest model first; Bradley–Terry strengths only.

    model, strength, std_err, lower, upper, n_votes, rank, ordinary_strength (the same votes,
    unadjusted), `component` (connected component of the comparisons: strengths of different components do not
    compare, and ranks are within a component).

    Where strengths differ by context there is a first column `context`, and rows are the overall ranking
    (context None), then the ranking in each context, that of most votes first; each with the models that
    have votes in it. Standard errors of overall strengths are from `penalised`: standard errors with the log
    priors as information, which those of a posterior are.
    """
    check_together([*parts_of(strength), "leaderboard"])
    if not strength.model_names:  # of a class from outside
        raise ModelError(NO_LEADERBOARD.format(type(strength).__name__))
    place = {name: i for i, name in enumerate(se.names)}
    where = np.array([place[f"strength of {name}"] for name in strength.models], np.int64)
    index = strength.index(table)[:, :2]
    cast = np.repeat(table.votes_by_comparison().sum(axis=1), 2)
    with jax.enable_x64(True):
        plain = strength.at(np.zeros(strength.n_coordinates())).unadjusted(table)
        ordinary = np.asarray(plain.natural())[: len(where)]
        own = np.asarray(strength.natural())[: len(where)]
    each = {
        "model": np.array(strength.models, dtype=object),
        "strength": own,
        "std_err": se.std_err[where],
        "n_votes": np.bincount(index.ravel(), cast, len(where)),
        "ordinary_strength": ordinary,
        "component": np.asarray(strength.components),
    }
    if strength.l2_context is None:
        return _ranked(each, se.level)
    # A name such as "a in b in c" is not read: what a strength is of, the comparisons tell.
    held, first = np.unique(index, return_index=True)
    names = np.array([str(x) for pair in table.comparisons for x in pair], dtype=object)[first]
    context = np.array([str(x) for x in np.asarray(table.contexts)], dtype=object)[first // 2]
    listed = each["n_votes"][held] > 0
    held, context = held[listed], context[listed]
    in_contexts = {name: values[held] for name, values in each.items()} | {"model": names[listed]}
    penalised = se if penalised is None else penalised
    contexts = _context_of(each["component"], held, context)
    blocks = [_ranked(_overall(strength, se, penalised, each, in_contexts, held, contexts), se.level)]
    votes = {of: in_contexts["n_votes"][context == of].sum() for of in sorted(set(context.tolist()))}
    by_votes = sorted(votes, key=lambda of: -votes[of])  # those with as many stay in the order of names
    blocks += [
        _ranked({name: values[context == of] for name, values in in_contexts.items()}, se.level)
        for of in by_votes
    ]
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
    se: StandardErrors,
    penalised: StandardErrors,
    each: dict[str, np.ndarray],
    in_contexts: dict[str, np.ndarray],
    held: np.ndarray,
    contexts: np.ndarray,
) -> dict[str, np.ndarray]:
    """One row per model with votes: its mean over the contexts, those without votes on it included.

    `each` has all strengths of the fit, `in_contexts` those of the numbers `held`, with names of models.
    """
    pool = pooling(strength.model_of, each["component"], contexts, strength.l2, strength.l2_context)
    place = {name: i for i, name in enumerate(se.names)}
    where = np.array([place[f"strength of {name}"] for name in strength.models], np.int64)
    open_scale = np.array([se.notes[i] == OPEN_SCALE for i in where], dtype=bool)
    unclear = np.isnan(penalised.std_err[where]) | open_scale
    std_err = np.full(len(pool.weights), np.nan)
    if not unclear.all():  # of thousands of strengths there is no covariance
        variance = pool.variance(penalised.covariance[np.ix_(where, where)])
        rests_on_unclear = (np.abs(pool.weights) > 1e-12) @ unclear
        std_err = np.where(rests_on_unclear, np.nan, np.sqrt(np.maximum(variance, 0.0)))
    number = np.asarray(strength.model_of, np.int64)[held]
    models, first = np.unique(number, return_index=True)
    return {
        "model": in_contexts["model"][first],
        "strength": (pool.weights @ each["strength"])[models],
        "std_err": std_err[models],
        "n_votes": np.bincount(number, in_contexts["n_votes"], len(std_err))[models],
        "ordinary_strength": (pool.weights @ each["ordinary_strength"])[models],
        "component": pool.components[models],
    }


def _ranked(block: dict[str, np.ndarray], level: float) -> dict[str, np.ndarray]:
    """One ranking with its intervals, strongest model first; ranks and numbers of components from 1."""
    own, std_err = block["strength"], block["std_err"]
    components = np.unique(block["component"], return_inverse=True)[1]
    order = np.lexsort((-own, components))
    rank = np.empty(len(own), dtype=np.int64)
    starts = np.searchsorted(components[order], components[order])
    rank[order] = np.arange(len(own)) - starts + 1
    half_width = ndtri(0.5 + 0.5 * level) * std_err
    columns = {
        "model": block["model"],
        "strength": own,
        "std_err": std_err,
        "lower": own - half_width,
        "upper": own + half_width,
        "n_votes": block["n_votes"],
        "rank": rank,
        "ordinary_strength": block["ordinary_strength"],
        "component": components + 1,
    }
    order = np.lexsort((block["model"].astype(str), -own))
    return {name: values[order] for name, values in columns.items()}


def covariate_columns(strength: Strength, se: StandardErrors) -> dict[str, np.ndarray]:
    """Columns of `covariates.parquet`: covariate, effect, std_err, lower, upper, unit."""
    covariates = getattr(strength, "covariates", None)
    if covariates is None:
        raise ModelError("this fit has no covariates: read the votes with covariates=[COLUMN, ...].")
    where = [se.names.index(name) for name in covariates.names()]
    std_err, effect = se.std_err[where], np.asarray(covariates.slopes)
    half_width = ndtri(0.5 + 0.5 * se.level) * std_err
    return {
        "covariate": np.array(covariates.strata.covariates, dtype=object),
        "effect": effect,
        "std_err": std_err,
        "lower": effect - half_width,
        "upper": effect + half_width,
        "unit": np.array([cut.scale for cut in covariates.strata.cuts if cut.signed]),
    }
