"""Changes between two fits: models whose relative strength differs by more than chance."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from emjax.errors import ModelError
from emjax.infer.leaderboard import order_errors
from emjax.model.capabilities import check_together, parts_of

_MOST_ROUNDS = 10  # of looking for the models that did not change
_SMALL = 1e-10  # relative size of an eigenvalue of a covariance that is rounding


@dataclass(frozen=True, eq=False, repr=False)
class Changes:
    """What changed from one fit to another.

    Attributes
    ----------
    table : pyarrow.Table
        One row per model of both fits, the surest changes first: model, before, after (strengths, those
        before on the scale of those after), change, std_err, lower, upper, p_value, changed. Standard errors
        are null where one of the fits has none.
    p_value : float
        Probability of changes as large as these, or larger, if nothing had changed; NaN without standard
        errors.
    gone, new : tuple of str
        Models of one of the fits alone.
    level : float

    Examples
    --------
    >>> import emjax
    >>> def day(seed, bee):
    ...     truth = {"ant": 1.0, "bee": bee, "cat": -1.0, "dog": 0.0}
    ...     votes = emjax.simulate(seed, n_users=300, votes_per_user=40, strengths=truth).preferences
    ...     return emjax.fit_em(votes, emjax.Beta())
    >>> found = emjax.changes(day(0, 0.0), day(1, 0.9))
    >>> found.table["model"][0].as_py(), found.table["changed"].to_pylist()
    ('bee', [True, False, False, False])
    """

    table: pa.Table
    p_value: float
    gone: tuple[str, ...]
    new: tuple[str, ...]
    level: float

    def __repr__(self) -> str:
        rows = self.table.to_pydict()
        names = [" ".join(name.split()) for name in rows["model"]]
        width = max(map(len, ("model", *names)))
        lines = [f"{'model':{width}}    before     after    change   std_err   {self.level:.0%} interval"]
        for i, name in enumerate(names):
            numbers = "".join(f"{rows[column][i]:10.3f}" for column in ("before", "after", "change"))
            if rows["std_err"][i] is None:
                lines.append(f"{name:{width}}{numbers}         –")
                continue
            interval = f"[{rows['lower'][i]:.3f}, {rows['upper'][i]:.3f}]"
            said = "   changed" if rows["changed"][i] else ""
            lines.append(f"{name:{width}}{numbers}{rows['std_err'][i]:10.3f}   {interval}{said}")
        if not np.isnan(self.p_value):
            lines.append(
                f"If nothing had changed, changes as large would have probability {self.p_value:.2g}."
            )
        for what, models in (("no longer there", self.gone), ("new", self.new)):
            lines += [f"{what}: {', '.join(models)}"] if models else []
        return "\n".join(lines)


def changes(before: Any, after: Any, *, level: float = 0.95) -> Changes:
    """Which models became stronger or weaker from one fit to another, beyond chance.

    Parameters
    ----------
    before, after
        Fits of different votes, with Bradley–Terry strengths: `Fit` or `BayesFit`.
    level
        Probability of the intervals of single changes; and that no model is called changed that is not.

    Returns
    -------
    Changes

    Raises
    ------
    ModelError
        When the strengths are not `BradleyTerry`, or fewer than three models of both fits are connected.

    Notes
    -----
    Strengths have no zero and, to the votes, hardly a scale. Both fits are put on the zero and the scale of
    the models that did not change, at least half of all: first those nearest to the median change, then those
    that are not called changed, until these stay the same. That most models moved together, or apart, is not
    found. `changed` is by Holm's method over all models.

    A limit: the two fits are taken to be of different votes. Where votes are in both, changes are smaller
    than their standard errors say, and fewer models are called changed.

    Source: Holm (1979) for the tests of many models.

    Examples
    --------
    >>> import emjax
    >>> truth = {"ant": 1.0, "bee": 0.0, "cat": -1.0, "dog": 0.5}
    >>> days = [emjax.simulate(seed, n_users=300, votes_per_user=40, strengths=truth) for seed in (0, 1)]
    >>> found = emjax.changes(*(emjax.fit_em(day.preferences, emjax.Beta()) for day in days))
    >>> any(found.table["changed"].to_pylist())
    False
    """
    for fit in (before, after):
        check_together([*parts_of(fit.strength), "leaderboard"])
    names = [[str(name) for name in fit.strength.models] for fit in (before, after)]
    both = [name for name in names[1] if name in set(names[0])]
    places = [[of.index(name) for name in both] for of in names]
    groups = _groups(before, after, places)
    kept = np.bincount(groups)[groups] > 1 if len(groups) else np.zeros(0, dtype=bool)
    if kept.sum() < 3:
        raise ModelError(
            f"{kept.sum()} models are in both fits and connected by votes: changes are relative to other "
            "models, and need three."
        )
    both = [name for name, keep in zip(both, kept, strict=True) if keep]
    strengths, covariances, known = [], [], np.ones(len(both), dtype=bool)
    for fit, place in zip((before, after), places, strict=True):
        rows = np.array(place)[kept]
        errors = order_errors(fit.strength, fit.standard_errors()).of(rows)
        strengths.append(np.asarray(fit.strength.strengths, np.float64)[rows])
        covariances.append(errors.covariance)
        known &= errors.known
    pair = _Pair(strengths[0], strengths[1], covariances[0], covariances[1], groups[kept])
    found, p = pair.relative(np.ones(len(both), dtype=bool)), np.full(len(both), np.nan)
    std_err = p
    if known.all():
        found = pair.settled(1.0 - level)
        std_err, p = found.std_err, found.p_values
    half_width = ndtri(0.5 + 0.5 * level) * std_err
    change = found.change
    columns: dict[str, np.ndarray] = {
        "before": found.before,
        "after": found.after,
        "change": change,
        "std_err": std_err,
        "lower": change - half_width,
        "upper": change + half_width,
        "p_value": p,
    }
    order = np.lexsort((np.arange(len(p)), np.nan_to_num(p, nan=2.0)))
    table: dict[str, Any] = {"model": [both[i] for i in order]}
    table |= {name: pa.array(values[order], from_pandas=True) for name, values in columns.items()}
    table["changed"] = _holm(p, 1.0 - level)[order]
    missing = [tuple(sorted(set(names[i]) - set(names[1 - i]))) for i in (0, 1)]
    overall = _chi_squared(change, found.variance) if known.all() else np.nan
    return Changes(pa.table(table), overall, missing[0], missing[1], level)


def _groups(before: Any, after: Any, places: list[list[int]]) -> np.ndarray:
    """Which models of both fits compare in either: the number of their group."""
    found = [
        np.asarray(fit.strength.components)[place] for fit, place in zip((before, after), places, strict=True)
    ]
    return np.unique(np.stack(found, axis=1), axis=0, return_inverse=True)[1].ravel()


class _Relative(NamedTuple):
    """Strengths of two fits on one zero and one scale, and their changes."""

    before: np.ndarray
    after: np.ndarray
    change: np.ndarray
    variance: np.ndarray

    @property
    def std_err(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.variance), 0.0))

    @property
    def p_values(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(self.change == 0.0, 0.0, np.abs(self.change) / self.std_err)
        return 2.0 * ndtr(-z)


class _Pair(NamedTuple):
    """Strengths of the same models in two fits, their covariances, and which of them compare."""

    before: np.ndarray
    after: np.ndarray
    covariance_before: np.ndarray
    covariance_after: np.ndarray
    groups: np.ndarray

    def relative(self, reference: np.ndarray) -> _Relative:
        """Both fits on the zero and the scale of some of the models."""
        together = self.groups[:, None] == self.groups[None, :]
        weights = np.where((together & reference).any(axis=1, keepdims=True), together & reference, together)
        centre = np.eye(len(self.groups)) - weights / weights.sum(axis=1, keepdims=True)
        old, new = centre @ self.before, centre @ self.after
        of_old, of_new = (centre @ v @ centre.T for v in (self.covariance_before, self.covariance_after))
        inside = np.ix_(reference, reference)
        factor = _length(new[reference], of_new[inside]) / _length(old[reference], of_old[inside])
        old, variance = factor * old, of_new + factor**2 * of_old
        direction = old + new
        own = np.where(reference, direction, 0.0)
        across = np.eye(len(own)) - np.outer(direction, own) / max(own @ own, 1e-300)
        return _Relative(old, new, across @ (new - old), across @ variance @ across.T)

    def settled(self, alpha: float) -> _Relative:
        """On the zero and the scale of the models that did not change, as far as can be said."""
        everyone = np.ones(len(self.groups), dtype=bool)
        found = self.relative(everyone)
        least = max(3, -(-len(everyone) // 2))
        apart = np.abs(found.change - np.median(found.change))
        reference = apart <= np.sort(apart)[least - 1]  # to begin with, the half nearest to the median
        for _ in range(_MOST_ROUNDS):
            found = self.relative(reference)
            unchanged = ~_holm(found.p_values, alpha)
            if unchanged.sum() < least or (unchanged == reference).all():
                break
            reference = unchanged
        return found


def _length(s: np.ndarray, covariance: np.ndarray) -> float:
    """The length of the true strengths: that of the estimates, less what their errors add."""
    squared = s @ s
    return float(np.sqrt(max(squared - np.trace(covariance), 0.05 * squared, 1e-300)))


def _holm(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which of several hypotheses are rejected, with probability `alpha` at most to reject a true one."""
    order = np.argsort(p)
    beyond = p[order] > alpha / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order[: int(np.argmax(beyond)) if beyond.any() else len(p)]] = True
    return rejected & ~np.isnan(p)


def _chi_squared(change: np.ndarray, variance: np.ndarray) -> float:
    """Probability of a larger quadratic form of the change, in the directions that it has."""
    values, vectors = np.linalg.eigh(variance)
    free = values > _SMALL * values[-1]
    statistic = float(np.sum((vectors[:, free].T @ change) ** 2 / values[free]))
    return float(chi2.sf(statistic, int(free.sum())))
