"""Posterior predictive checks: which property of the observed votes would be rare under the fitted model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.labels import against, model_numbers
from emjax.bayes.predictive import replicates, vote_probabilities
from emjax.bayes.predictive_statistics import (
    Cast,
    Structure,
    cast_of,
    misfit_by_model,
    residuals,
    user_statistics,
)
from emjax.data.comparison_table import labels
from emjax.data.preferences import Preferences
from emjax.errors import ModelError
from emjax.infer.summaries import counted
from emjax.model.model import Model
from emjax.model.strength import Strength

EXTREME = 0.01  # p-values up to it, and from one less it, are marked
_NODES = 64  # of attentiveness, for the moments of votes
_MAX_ELEMENTS = 1 << 21  # comparisons × nodes evaluated together

# Name of each statistic and what it detects, in the order of the table.
STATISTICS = {
    "spread of win rates": "users who differ in attentiveness more, or less, than the prior allows",
    "users below one half": "users who mostly vote against the favoured models, such as adversarial users: a "
    "prior from 0 to 1 has none",
    "halves of comparisons": "attentiveness that depends on the comparison: a user's win rates in two halves "
    "of the comparisons correlate less, or more, than one attentiveness per user implies",
    "repeated votes": "preferences of single users: votes of one user in one comparison agree more, or less, "
    "than independent votes",
    "misfit of comparisons": "strengths that do not explain the comparisons: cycles, strengths that differ "
    "by context, wrong known strengths",
    "misfit of one comparison": "a single comparison with another result than the strengths imply",
    "misfit of one model": "a single model whose results depend on the opponent otherwise than its strength "
    "implies",
    "ties by comparison": "shares of ties that depend on the comparison otherwise than the rule for ties "
    "implies",
    "ties by user": "users who differ in how often they vote for a tie otherwise than by attentiveness",
    "votes for the first side": "another preference for the side shown first, over all votes",
    "first side by user": "users who differ in their preference for the side shown first more than one rate "
    "allows (larger: some always vote for one side), or less (smaller: a few users make the rate extreme)",
}


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """One statistic of the votes, observed and in predictive draws.

    A residual depends on the parameters, so that its observed value differs between draws too.

    Attributes
    ----------
    name : str
    detects : str
        What makes it extreme.
    observed_values, predicted_values : (draws,)
        Of the observed votes and of the predictive votes, each at the parameters of the draw.
    where : str
        The comparison or the model with the largest observed residual, where the statistic is of one.

    Examples
    --------
    >>> detects = STATISTICS["ties by user"]
    >>> check = PredictiveCheck("ties by user", detects, np.full(4, 0.2), np.arange(4) / 10)
    >>> check.observed, check.p_value, check.interval(0.5)
    (0.2, 0.4166..., (0.1, 0.2))
    """

    name: str
    detects: str
    observed_values: np.ndarray
    predicted_values: np.ndarray
    where: str = ""

    @property
    def observed(self) -> float:
        """The observed value, averaged over the draws of the parameters."""
        return float(self.observed_values.mean())

    @property
    def p_value(self) -> float:
        """Posterior predictive p-value: share of draws with a larger predicted than observed value.

        Equal values count half, and one draw more on either side: (larger + 1) / (draws + 2), so that few
        draws give no extreme p-values. Near 0 the observed value is larger than the model predicts, near 1
        smaller.
        It is never quite uniform under the true model but mostly nearer to one half, because the same votes
        were fitted.
        """
        larger = self.predicted_values > self.observed_values
        equal = self.predicted_values == self.observed_values
        return float((larger.sum() + 0.5 * equal.sum() + 1.0) / (len(larger) + 2.0))

    @property
    def extreme(self) -> bool:
        """Whether the p-value is at most 0.01 or at least 0.99."""
        return not EXTREME < self.p_value < 1.0 - EXTREME

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Equal-tailed interval of the predicted values."""
        if not 0 < level < 1:
            raise ModelError(f"an interval's level lies between 0 and 1; got {level!r}.")
        tail = 0.5 * (1.0 - level)
        low, high = np.quantile(self.predicted_values, [tail, 1.0 - tail], method="nearest")
        return float(low), float(high)

    def __repr__(self) -> str:
        low, high = self.interval()
        return (
            f"{_title(self)}: {self.observed:.4g}, in predictive draws {low:.4g} to {high:.4g} "
            f"(p = {self.p_value:.3f})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveChecks:
    """Posterior predictive checks of several statistics, by name; it iterates over them.

    Attributes
    ----------
    checks : tuple of PredictiveCheck

    Notes
    -----
    With ten statistics, up to one p-value below 0.05 or above 0.95 is expected of a right model, and one in
    five such tables has one below 0.01 or above 0.99. A limit: a model can be wrong in ways that none of
    them notices, and free parameters can adapt to a failure, so that it shows in another statistic than its
    own.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> spread = PredictiveCheck("spread of win rates", STATISTICS["spread of win rates"], np.full(200, 0.3),
    ...                          rng.normal(0.2, 0.01, 200))
    >>> print(PredictiveChecks((spread,)))
    posterior predictive checks, 200 draws
      statistic            observed    95% of draws        p
      spread of win rates       0.3  [0.1806, 0.2174]  0.005
    spread of win rates: larger than the model predicts. It detects users who differ in attentiveness more, or
    less, than the prior allows.
    """

    checks: tuple[PredictiveCheck, ...]

    def __iter__(self) -> Iterator[PredictiveCheck]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __getitem__(self, name: str) -> PredictiveCheck:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r} is none of the statistics here: {', '.join(c.name for c in self.checks)}")

    def columns(self) -> dict[str, np.ndarray]:
        """The table as arrays: statistic, observed, lower, upper (of 95 % of the draws), p_value, where."""
        ends = np.array([check.interval() for check in self.checks]).reshape(-1, 2)
        return {
            "statistic": np.array([check.name for check in self.checks], dtype=object),
            "observed": np.array([check.observed for check in self.checks]),
            "lower": ends[:, 0],
            "upper": ends[:, 1],
            "p_value": np.array([check.p_value for check in self.checks]),
            "where": np.array([check.where for check in self.checks], dtype=object),
        }

    def __repr__(self) -> str:
        n = max((len(check.predicted_values) for check in self.checks), default=0)
        rows = []
        for check in self.checks:
            low, high = check.interval()
            rows.append((_title(check), f"{check.observed:.4g}", f"[{low:.4g}, {high:.4g}]", check.p_value))
        width = max([len("statistic")] + [len(row[0]) for row in rows])
        middle = max([len("95% of draws")] + [len(row[2]) for row in rows])
        lines = [
            f"posterior predictive checks, {counted(n, 'draw')}",
            f"  {'statistic':{width}}  observed  {'95% of draws':^{middle}}      p",
        ]
        lines += [f"  {name:{width}}  {seen:>8}  {ends:{middle}}  {p:.3f}" for name, seen, ends, p in rows]
        for check in self.checks:
            if check.extreme:
                than = "larger" if check.p_value < 0.5 else "smaller"
                lines.append(f"{_title(check)}: {than} than the model predicts. It detects {check.detects}.")
        return "\n".join(lines)


def _title(check: PredictiveCheck) -> str:
    return f"{check.name} ({check.where})" if check.where else check.name


def predictive_checks(prefs: Preferences, centre: Model, draws: Model, key: Any) -> PredictiveChecks:
    """Check the votes of `prefs` against predictive votes of the same users and comparisons.

    `centre` is the model whose strengths say which model a comparison favours, and `draws` (stacked) the
    parameters. Statistics that these votes do not have are left out.
    """
    s = structure(prefs, centre.strength)
    with jax.enable_x64(True):
        index = jnp.asarray(centre.strength.index(prefs.table))
    of_users = user_statistics(s, prefs.counts)
    cast_observed, cast_drawn = cast_of(s, prefs.counts), None
    observed: list[dict[str, float]] = []
    predicted: list[dict[str, float]] = []
    z_mean, by_model = np.zeros(len(s.favoured)), np.zeros(0)
    for counts, model in replicates(prefs, centre, draws, key):
        # Half votes are whole ones in predictive votes; other numbers of votes are the same in all draws.
        cast_drawn = cast_of(s, counts) if cast_drawn is None else cast_drawn
        at = _at_nodes(model, index)
        values, z = _residual_statistics(s, prefs.counts, cast_observed, *at)
        observed.append(of_users | values)
        predicted.append(user_statistics(s, counts) | _residual_statistics(s, counts, cast_drawn, *at)[0])
        each = misfit_by_model(s, z)
        z_mean, by_model = z_mean + z, by_model + each if len(by_model) else each
    where = {"misfit of one comparison": against(labels(prefs.table)[int(np.argmax(np.abs(z_mean)))])}
    if len(by_model):
        where["misfit of one model"] = str(model_numbers(prefs)[0][int(np.argmax(by_model))])
    return PredictiveChecks(tuple(_collected(observed, predicted, where)))


def structure(prefs: Preferences, strength: Strength) -> Structure:
    """What the votes have besides their counts, where `strength` says which model is favoured."""
    with jax.enable_x64(True):
        logits = np.asarray(strength.logits(strength.index(prefs.table)))
    # Halves with about as many votes each.
    order = np.argsort(-prefs.votes_by_comparison().sum(axis=1), kind="stable")
    half = np.zeros(prefs.n_comparisons, np.int64)
    half[order[1::2]] = 1
    return Structure(
        user=prefs.user,
        comparison=prefs.comparison,
        n_users=prefs.n_users,
        outcomes=prefs.outcomes,
        favoured=np.sign(np.round(logits, 12)),
        half=half,
        models=model_numbers(prefs)[1] if prefs.has_models else None,
    )


def _collected(
    observed: list[dict[str, float]], predicted: list[dict[str, float]], where: dict[str, str]
) -> Iterator[PredictiveCheck]:
    for name, detects in STATISTICS.items():
        if name not in observed[0]:
            continue
        values = np.array([[a[name], b[name]] for a, b in zip(observed, predicted, strict=True)])
        usable = np.isfinite(values).all(axis=1)
        # A correlation can be undefined in a few draws, where all users of one half agree.
        if usable.mean() >= 0.5:
            yield PredictiveCheck(name, detects, *values[usable].T, where=where.get(name, ""))


def _residual_statistics(
    s: Structure, counts: np.ndarray, cast: Cast, p: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Statistics of the residuals of comparisons, and the residuals of wins."""
    z = residuals(s, counts, cast, p, weights, "wins")
    found = {"misfit of comparisons": float((z**2).mean())}
    if len(z) > 1:  # with one comparison it would be the same
        found["misfit of one comparison"] = float(np.abs(z).max())
    by_model = misfit_by_model(s, z)
    if len(by_model):
        found["misfit of one model"] = float(by_model.max())
    if s.outcomes.ties:
        tied = residuals(s, counts, cast, p, weights, "ties")
        found["ties by comparison"] = float((tied**2).mean())
    return found, z


def _at_nodes(model: Model, index: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """(C, O, G) probability of each outcome at nodes of attentiveness, and (G,) the weights of these."""
    with jax.enable_x64(True):
        eta, weights = fewer_nodes(
            np.asarray(model.prior.nodes().eta), np.exp(np.asarray(model.prior.log_weights()))
        )
        n, g = len(index), len(eta)
        step, parts = max(1, _MAX_ELEMENTS // g), []
        for first in range(0, n, step):
            own = np.arange(first, min(first + step, n))
            p = vote_probabilities(
                model, index, jnp.asarray(np.tile(eta, len(own))), jnp.asarray(np.repeat(own, g))
            )
            parts.append(np.asarray(p).reshape(len(own), g, -1).transpose(0, 2, 1))
    return np.concatenate(parts), weights


def fewer_nodes(eta: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 64 nodes and their weights, in place of the 512 of a density: neighbours merged, at their mean.

    The mean is kept, and the variance but for that within a sixty-fourth of the users.

    Examples
    --------
    >>> eta, weights = fewer_nodes(np.linspace(0, 1, 501), np.full(501, 1 / 501))
    >>> len(eta), round(float(eta @ weights), 6), round(float(eta**2 @ weights), 4)
    (64, 0.5, 0.3336)
    """
    if len(eta) <= _NODES:
        return eta, weights
    middle = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    group = np.minimum((middle * _NODES).astype(np.int64), _NODES - 1)
    mass = np.bincount(group, weights, _NODES)
    mean = np.bincount(group, weights * eta, _NODES) / np.where(mass > 0, mass, 1.0)
    return mean, mass
