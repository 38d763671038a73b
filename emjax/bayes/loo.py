"""Leave-one-user-out cross-validation (LOO) by Pareto-smoothed importance sampling."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from emjax.bayes.marginal_density import arranged
from emjax.data.preferences import Preferences
from emjax.data.write import as_frame
from emjax.errors import ModelError, warn
from emjax.infer.steps import log_p_table
from emjax.infer.summaries import counted
from emjax.infer.vote_sources import prepare
from emjax.infer.votes_on_device import Data
from emjax.model.likelihood import marginal
from emjax.model.model import Model

_UNRELIABLE = 0.7
_MAX_ELEMENTS = 1e8  # numbers that users × draws may take


@dataclass(frozen=True, eq=False, repr=False)
class Loo:
    """Leave-one-user-out predictive accuracy of a fit.

    Attributes
    ----------
    elpd : (m,) log predictive density of each user's votes, given all the other users
    pareto_k : (m,) shape of the tail of each user's weights; beyond 0.7 the estimate is unreliable
    p_loo : float, effective number of parameters

    Examples
    --------
    >>> import numpy as np
    >>> loo = Loo(np.array([-1.0, -3.0]), np.array([0.1, 0.2]), 0.5)
    >>> loo.total, round(loo.std_err, 3)
    (-4.0, 2.0)
    """

    elpd: np.ndarray
    pareto_k: np.ndarray
    p_loo: float

    @property
    def total(self) -> float:
        """Sum over users, in log-likelihood units; higher is better."""
        return float(self.elpd.sum())

    @property
    def std_err(self) -> float:
        """Standard error of the sum, from the spread over users."""
        return spread_of_sum(self.elpd)

    def __repr__(self) -> str:
        return (
            f"leave-one-user-out: {self.total:.2f} (standard error {self.std_err:.2f}) for "
            f"{counted(len(self.elpd), 'user')}, effective parameters {self.p_loo:.2f}, "
            f"worst Pareto k {self.pareto_k.max():.2f}"
        )


def leave_users_out(prefs: Preferences, centre: Model, draws: Any) -> Loo:
    """Score every user of `prefs` by the draws, weighted as if the user's votes were left out."""
    with jax.enable_x64(True):
        data, at, row = prepare(prefs, centre.prior, centre.strength, centre.behavior)
        wanted = max(100, int(_MAX_ELEMENTS / data.layout.multiplicity.size))
        log_lik = np.asarray(_evidence(draws.some(wanted), at, data))  # (draws, rows)
    used = np.unique(row)
    elpd, k, p = left_out(log_lik[:, used].T)
    place = np.searchsorted(used, row)
    return Loo(elpd[place], k[place], float(p[place].sum()))


def left_out(log_lik: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """elpd, Pareto k and effective parameters of every row of (rows, draws) log-likelihoods.

    Where a chain did not move, so that a quarter of the tail is one repeated draw, no Pareto tail fits:
    the weights stay as they are, and k is infinite, which marks the estimate as unreliable.
    """
    from emjax.bayes.numpyro_import import array_stats

    n = log_lik.shape[1]
    tail = max(5, int(min(0.2 * n, 3.0 * math.sqrt(n))))  # as the library cuts it
    lowest = np.sort(log_lik, axis=1)  # the largest weights are where a user's votes are the least likely
    stuck = lowest[:, tail] - lowest[:, tail - int(tail / 4 + 0.5)] <= 1e-12
    elpd = math.log(n) - np.logaddexp.reduce(-log_lik, axis=1)
    k, p = np.full(len(log_lik), np.inf), np.logaddexp.reduce(log_lik, axis=1) - math.log(n) - elpd
    if not stuck.all():
        rest = array_stats.loo(log_lik[~stuck][:, None, :], chain_axis=1, draw_axis=2)
        elpd[~stuck], k[~stuck], p[~stuck] = rest
    return elpd, k, p


def log_marginal(prefs: Preferences, centre: Model, draws: Any) -> np.ndarray:
    """(chains, draws, m) marginal log-likelihood of every user's votes in every draw."""
    with jax.enable_x64(True):
        data, at, row = prepare(prefs, centre.prior, centre.strength, centre.behavior)
        log_lik = np.asarray(_evidence(draws.some(draws.diverging.size), at, data))
    return log_lik[:, row].reshape(*draws.diverging.shape, -1)


@jax.jit
def _evidence(draws: Model, at: Model, data: Data) -> jax.Array:
    def one(model: Model) -> jax.Array:
        model = arranged(model, at)
        return marginal(data.layout.forward(log_p_table(model, data.index)), model.prior.log_weights())[0]

    return jax.lax.map(one, draws)


def compare(fits: Mapping[str, Any], prefs: Preferences) -> Any:
    """Compare models by how well they predict users left out, best first.

    Parameters
    ----------
    fits
        Fits of the same votes by `fit_bayes`, by name.
    prefs
        The votes they were fitted to.

    Returns
    -------
    table
        In the type of table that the votes came in: model, elpd (sum over users of the log predictive
        density), std_err, p_loo (effective number of parameters), difference (from the best),
        difference_std_err (paired by user), worst_k (largest Pareto k).

    Raises
    ------
    ModelError
        When there is no fit, one is not from `fit_bayes`, or one was made from another number of users or
        votes. Votes that differ in their outcomes alone are not noticed.

    Warns
    -----
    EmjaxWarning
        When a user weighs so much that the draws cannot show what leaving this user out does (Pareto k
        over 0.7).

    Notes
    -----
    A difference below twice its standard error is no finding. Votes of one user are predicted together.
    Source: Vehtari, Gelman & Gabry (2017); Vehtari et al. (2024) for the smoothing.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=30, prior=emjax.TwoPoint(0.1, 0.9, 0.6))
    >>> options = dict(strength=emjax.Known(0.74), num_warmup=500, num_samples=1000, num_chains=2, key=0)
    >>> fits = {"Beta": emjax.fit_bayes(sim.preferences, emjax.Beta(), **options),
    ...         "all alike": emjax.fit_bayes(sim.preferences, emjax.Points(1), **options)}
    >>> emjax.compare(fits, sim.preferences)["model"].to_pylist()
    ['Beta', 'all alike']
    """
    if not fits:
        raise ModelError("compare takes fits by name, such as {'Beta': fit}; got none.")
    scores = {}
    for name, fit in fits.items():
        if not hasattr(fit, "loo"):
            raise ModelError(f"compare takes fits of fit_bayes; {name!r} is a {type(fit).__name__}.")
        scores[name] = fit.loo(prefs)
    order = sorted(scores, key=lambda name: -scores[name].total)
    best = scores[order[0]]
    for name in order:
        weighty = int((scores[name].pareto_k > _UNRELIABLE).sum())
        if weighty:
            warn(
                f"{name}: {counted(weighty, 'user')} of {len(best.elpd):,} weigh so much that these draws "
                f"cannot show what leaving them out does (Pareto k over {_UNRELIABLE}): read differences of "
                f"that size with care, or fit again without them."
            )
    apart = [scores[name].elpd - best.elpd for name in order]
    columns = {
        "model": np.array(order, dtype=object),
        "elpd": np.array([scores[name].total for name in order]),
        "std_err": np.array([scores[name].std_err for name in order]),
        "p_loo": np.array([scores[name].p_loo for name in order]),
        "difference": np.array([float(d.sum()) for d in apart]),
        "difference_std_err": np.array([spread_of_sum(d) for d in apart]),
        "worst_k": np.array([float(scores[name].pareto_k.max()) for name in order]),
    }
    return as_frame(columns, prefs.frame)


def spread_of_sum(values: np.ndarray) -> float:
    """Standard error of a sum of independent terms."""
    return float(np.sqrt(len(values)) * values.std(ddof=1)) if len(values) > 1 else float("nan")
