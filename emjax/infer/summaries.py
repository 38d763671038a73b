"""A fit as tables: columns of comparisons and covariates, and lines of text for people."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from scipy.special import ndtri

from emjax.data.amounts import rank_text
from emjax.data.comparison_table import ComparisonTable, contexts_as_listed
from emjax.errors import ModelError
from emjax.infer.leaderboard import OrderErrors, order_errors
from emjax.infer.standard_errors import StandardErrors
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
    rest = rows[:first] + rows[first + len(strength.models) :]
    if leaderboard is not None:
        return [*_table("parameter", "estimate", se.level, rest), *leaderboard]
    errors = order_errors(strength, se)
    value, models = _model_rows(strength, se, errors)
    width = max(_columns(name) for name, _ in rest + models[: _MOST + 1])
    others = _table("parameter", "estimate", se.level, rest, width)
    noun, several = ("model in context", "models in contexts") if strength.model_of else ("model", "models")
    table = _table(noun, value, se.level, models, width, several)
    return [*others, *table, *_scale_line(errors)]


def _model_rows(strength: Any, se: StandardErrors, errors: OrderErrors) -> tuple[str, list[tuple[str, str]]]:
    """Models, the strongest first, with ranks (but for contexts) and relative standard errors; a heading."""
    first = se.names.index(strength.names()[0])
    s = se.estimate[first : first + len(strength.models)]
    half_width = float(ndtri(0.5 + 0.5 * se.level)) * errors.std_err
    rows = [
        replace(one, std_err=std_err, lower=one.estimate - half, upper=one.estimate + half, note="").row()
        if known
        else one.row()
        for one, known, std_err, half in zip(
            list(se)[first : first + len(s)], errors.known, errors.std_err, half_width, strict=True
        )
    ]
    order, heading = np.argsort(-s, kind="stable"), "strength"
    if not strength.model_of and errors.known.any():
        ranks = errors.ranks(s, np.asarray(strength.components), se.level)
        texts = [rank_text(*ends) for ends in zip(*ranks, strict=True)]
        wide = max(4, *map(len, texts))
        rows = [f"{rank:>{wide}}  {row}" for rank, row in zip(texts, rows, strict=True)]
        heading = f"{'rank':>{wide}}  {heading}"
    return heading, [(" ".join(strength.models[i].split()), rows[i]) for i in order]


def _scale_line(errors: OrderErrors) -> list[str]:
    """What the errors of models leave out: that of a factor which all strengths share."""
    if np.isnan(errors.scale):
        return []
    return [f"apart from a common factor of all strengths: 1, with a standard error of {errors.scale:.2g}"]


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
