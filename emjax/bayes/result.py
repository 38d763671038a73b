"""BayesFit: the result of fit_bayes."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from emjax.bayes.arviz import to_arviz
from emjax.bayes.diagnostics import diverged_but_few, sampling_warnings, spread_lines
from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.loo import Loo, leave_users_out
from emjax.bayes.notes import notes_on_draws
from emjax.bayes.predictive import WinRates, replicate, win_rates
from emjax.bayes.predictive_checks import PredictiveChecks, predictive_checks
from emjax.bayes.user_posteriors import averaged_posterior
from emjax.data.preferences import Preferences
from emjax.data.read import VotesLike, as_votes
from emjax.data.write import as_frame, join_users
from emjax.errors import ModelError
from emjax.infer.fit import Fit
from emjax.infer.leaderboard import NULLABLE, Difference, compared, leaderboard_columns
from emjax.infer.posteriors import user_columns
from emjax.infer.standard_errors import StandardErrors
from emjax.infer.summaries import comparison_columns, counted, parameter_lines
from emjax.model.capabilities import check_together, parts_of_votes
from emjax.model.model import Model
from emjax.model.posterior import Posterior
from emjax.model.prior import Attentiveness
from emjax.model.pytree import replace
from emjax.model.random_keys import as_key
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_PROBED = 8  # parameters, prior first, whose extreme draws are checked
_FEW = 100  # draws that users' posteriors are averaged over


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """Draws from the posterior, one row per chain.

    Attributes
    ----------
    models : Model
        Prior, strength and behavior of every draw: each number has leading axes (chains, draws).
    natural : (chains, draws, Q)
        The parameters on their natural scale.
    diverging : (chains, draws) bool
        Where the sampler could not follow the posterior.
    n_steps, accept_prob : (chains, draws)
        Leapfrog steps, and mean acceptance probability along them.
    spreads : dict of str to (chains, draws)
        Standard deviations of strengths in their distribution, of models and of contexts around them.
    """

    models: Model
    natural: np.ndarray
    diverging: np.ndarray
    n_steps: np.ndarray
    accept_prob: np.ndarray
    spreads: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Model, shape: Any, diverging: Any, n_steps: Any, accept_prob: Any) -> "Draws":
        """From models stacked along one axis. Call it in double precision."""
        read = np.asarray(_natural(models))
        at = jax.tree.map(lambda x: np.asarray(x).reshape(*shape, *np.shape(x)[1:]), models)
        return cls(at, read.reshape(*shape, -1), np.asarray(diverging), np.asarray(n_steps), accept_prob)

    def some(self, count: int) -> Model:
        """About `count` models, spread evenly over all draws (stacked along one axis)."""
        total = self.diverging.size
        chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
        return self._at(chosen)

    def farthest(self) -> Model:
        """The models where some parameter is smallest or largest (stacked along one axis)."""
        flat = self.natural.reshape(self.diverging.size, -1)[:, :_PROBED]
        return self._at(np.concatenate([flat.argmin(axis=0), flat.argmax(axis=0)]))

    def _at(self, chosen: np.ndarray) -> Model:
        total = self.diverging.size
        return jax.tree.map(lambda x: x.reshape(total, *x.shape[2:])[chosen], self.models)


@jax.jit
def _natural(models: Model) -> jax.Array:
    return jax.vmap(Model.natural)(models)


@dataclass(frozen=True, eq=False, repr=False)
class BayesFit:
    """Draws from the posterior of a model, with estimates of parameters and users, and diagnostics.

    There is no `save`; what `to_arviz` gives can be written to a file.

    Attributes
    ----------
    draws : Draws
    em : Fit
        The EM fit that the sampler started from: the same model at its maximum.
    hyperpriors : Hyperpriors
    seconds : float
        Time it took, compilation included.
    n_nodes : int
        Nodes of attentiveness that the likelihood was summed over; 0 where users were sampled.
    target_accept : float
        Mean acceptance probability that the sampler's step size was tuned to.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
    >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
    ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
    >>> fit.draws.natural.shape, fit.names
    ((2, 1000, 2), ('a', 'b'))
    """

    draws: Draws
    em: Fit
    hyperpriors: Hyperpriors
    seconds: float
    n_nodes: int
    target_accept: float = 0.8

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `draws.natural`."""
        return Model(self.em.prior, self.em.strength, self.em.behavior).names()

    @cached_property
    def _mean(self) -> Model:
        """The model whose every number is the mean of its draws."""
        middle = jax.tree.map(lambda x: x.mean(axis=(0, 1)), self.draws.models)
        strength = self.em.strength.at(np.asarray(middle.strength.coordinates()))
        behavior = self.em.behavior.at(np.asarray(middle.behavior.coordinates()))
        return replace(middle, strength=strength, behavior=behavior)

    @property
    def prior(self) -> Attentiveness:
        """The attentiveness prior at the posterior means of its numbers."""
        return self._mean.prior

    @property
    def strength(self) -> Strength:
        """The strengths at their posterior means."""
        return self._mean.strength

    @property
    def behavior(self) -> Behavior:
        """How users vote, at the posterior means of its numbers."""
        return self._mean.behavior

    @property
    def divergences(self) -> int:
        """Draws at which the sampler could not follow the posterior; up to 0.25 % of all are no warning."""
        return int(self.draws.diverging.sum())

    @cached_property
    def r_hat(self) -> np.ndarray:
        """(Q,) rank-normalised split r̂ of each parameter: 1 where the chains agree."""
        return self._each("rhat")

    @cached_property
    def ess_bulk(self) -> np.ndarray:
        """(Q,) effective sample size for means."""
        return self._each("ess", method="bulk")

    @cached_property
    def ess_tail(self) -> np.ndarray:
        """(Q,) effective sample size for the ends of intervals."""
        return self._each("ess", method="tail", prob=(0.05, 0.95))

    def estimates(self, level: float = 0.95) -> StandardErrors:
        """Posterior means, standard deviations and equal-tailed intervals, in the form of standard errors."""
        if not 0 < level < 1:
            raise ModelError(f"an interval's level lies between 0 and 1; got {level!r}.")
        flat = self.draws.natural.reshape(-1, len(self.names))
        tail = 0.5 * (1.0 - level)
        lower, upper = np.quantile(flat, [tail, 1.0 - tail], axis=0)
        covariance = np.atleast_2d(np.cov(flat, rowvar=False))
        return StandardErrors(
            names=self.names,
            estimate=flat.mean(axis=0),
            std_err=flat.std(axis=0, ddof=1),
            lower=lower,
            upper=upper,
            notes=("",) * len(self.names),
            covariance=covariance,
            level=level,
            given_prior=_given_first(covariance, len(self.em.prior.names())),
        )

    def standard_errors(self, *, level: float = 0.95) -> StandardErrors:
        """The same as `estimates`, under the name that it has in a fit of `fit_em`.

        `std_err` is the posterior standard deviation, and there are no notes: draws have no bounds at which
        it is missing.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
        >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
        ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
        >>> fit.standard_errors(level=0.9).names
        ('a', 'b')
        """
        return self.estimates(level)

    def posterior(self, prefs: VotesLike, *, draws: int = _FEW) -> Posterior:
        """Posterior of attentiveness of every user of `prefs`, averaged over the draws.

        Parameters
        ----------
        prefs
            The votes of these users, whether they were in the fit or not.
        draws
            How many draws to average over, spread evenly over all.

        Returns
        -------
        Posterior
            As from `fit_em`, but with the uncertainty of prior and strengths in it. Where the votes leave
            the scale of attentiveness open, it says so too (`open_scale`).

        Notes
        -----
        Under TwoPoint and Points the nodes of all these draws stand side by side, so that it takes
        `draws` times the memory; its `mode` is then a point of some draw.
        """
        prefs = _votes("fit.posterior", prefs)
        found = averaged_posterior(prefs, self._mean, self.draws.some(draws))
        return replace(found, open_scale=self.em.identified.open_scale)

    def users(self, prefs: VotesLike) -> Any:
        """One row per user, in the type of table that the votes came in; columns as in `Fit.users`."""
        prefs = _votes("fit.users", prefs)
        columns = user_columns(prefs, self.posterior(prefs), self.strength)
        return join_users(prefs, columns, nullable=("attentiveness_map", "agreement"))

    def comparisons(self, prefs: VotesLike) -> Any:
        """One row per comparison; as in `Fit.comparisons`; std_err is the posterior standard deviation."""
        prefs = _votes("fit.comparisons", prefs)
        return as_frame(
            comparison_columns(self.strength, self.estimates(), prefs.table),
            prefs.frame,
            nullable=("std_err",),
        )

    def leaderboard(self, prefs: VotesLike, *, level: float = 0.95) -> Any:
        """One row per model, strongest first; columns as in `Fit.leaderboard`, from the posterior."""
        prefs = _votes("fit.leaderboard", prefs)
        columns = leaderboard_columns(self.strength, self.estimates(level), prefs.table)
        return as_frame(columns, prefs.frame, nullable=NULLABLE)

    def compare(self, a: str, b: str, *, level: float = 0.95) -> Difference:
        """The difference between two models, as in `Fit.compare`; the posterior is taken as normal."""
        return compared(self.strength, self.estimates(level), a, b)

    def predictive(self, prefs: VotesLike, *, key: Any, draws: int = 200) -> np.ndarray:
        """Posterior predictive votes: new users who cast as many votes in the same comparisons.

        Parameters
        ----------
        prefs
            Who votes how often on what; the outcomes in it are not used.
        key
            A JAX random key, or an integer seed.
        draws
            How many predictive draws, each from parameters of its own; at most as many as the fit has.

        Returns
        -------
        (draws, rows) votes for the first model in each row of `prefs.user`, `prefs.comparison`, without ties.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
        >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
        ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
        >>> fit.predictive(sim.preferences, key=1, draws=50).shape
        (50, 1000)
        """
        prefs = _votes("fit.predictive", prefs)
        counts = self._replicated(prefs, key, draws)
        return np.stack([prefs.outcomes.wins(one)[:, 0] for one in counts])

    def win_rates(self, prefs: VotesLike, *, key: Any, draws: int = 200, bins: int = 20) -> WinRates:
        """Compare the histogram of users' win rates with those of `predictive` votes.

        It takes what `predictive` takes, with the outcomes of `prefs` as those observed, and `bins`, the
        number of bins between 0 and 1. `emjax.report.plot_win_rates` draws the result.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
        >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
        ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
        >>> print(fit.win_rates(sim.preferences, key=1))  # doctest: +ELLIPSIS
        win rates over users: standard deviation ...
        """
        prefs = _votes("fit.win_rates", prefs)
        return win_rates(prefs, self.strength, self._replicated(prefs, key, draws), bins)

    def predictive_checks(self, prefs: VotesLike, *, key: Any, draws: int = 200) -> PredictiveChecks:
        """Compare several statistics of the votes with those of `predictive` votes.

        It takes what `predictive` takes, with the outcomes of `prefs` as those observed.

        Returns
        -------
        PredictiveChecks
            By name: observed value, predictive interval and p-value of each statistic that these votes have,
            and what it detects. Printed, it is a table.

        Notes
        -----
        A tie that was counted as two half votes is two half votes in the predictive votes too, which vary
        less than the model's votes: read such votes with ``ties="model"``.
        Source: Gelman, Meng & Stern (1996) for statistics that depend on the parameters.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
        >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
        ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
        >>> print(fit.predictive_checks(sim.preferences, key=1, draws=50))  # doctest: +ELLIPSIS
        posterior predictive checks, 50 draws
        ...
        """
        prefs = _votes("fit.predictive_checks", prefs)
        return predictive_checks(prefs, self._mean, self.draws.some(draws), as_key(key, "predictive_checks"))

    def _replicated(self, prefs: Preferences, key: Any, draws: int) -> np.ndarray:
        return replicate(prefs, self._mean, self.draws.some(draws), as_key(key, "predictive"))

    def loo(self, prefs: VotesLike) -> Loo:
        """Leave-one-user-out predictive accuracy, on the votes that were fitted.

        Raises
        ------
        ModelError
            When these are votes of another number of users, or another number of votes. Votes that differ in
        their outcomes alone are not noticed.
        """
        prefs = _votes("fit.loo", prefs)
        self._check_fitted(prefs, "loo")
        return leave_users_out(prefs, self._mean, self.draws)

    def _check_fitted(self, prefs: Preferences, what: str) -> None:
        fitted = self.em.data
        if (prefs.n_users, prefs.n_votes) != (fitted["n_users"], fitted["n_votes"]):
            raise ModelError(
                f"{what} is about the votes that were fitted ({fitted['n_votes']:,.0f} votes of "
                f"{fitted['n_users']:,} users); these are {prefs.n_votes:,.0f} votes of "
                f"{prefs.n_users:,} users."
            )

    def to_arviz(self, prefs: Preferences | None = None, *, key: Any = None) -> Any:
        """The draws as an ArviZ object (xarray.DataTree), for its plots, tables and files.

        Parameters
        ----------
        prefs
            The votes that were fitted: adds the groups log_likelihood (of each user's votes, with
            attentiveness summed out) and observed_data.
        key
            With votes: adds posterior_predictive, 200 draws in one chain. A JAX random key or an integer.

        Returns
        -------
        xarray.DataTree
            Axes have labels: `user`, `model`, `comparison` ("ant against bee", with model_a and model_b
            beside it), and rows of votes their user and comparison.

        Raises
        ------
        ModelError
            When these are other votes, users × draws is more than a hundred million, or there is a key
            and no votes.

        Notes
        -----
        To write it to a file, xarray needs netCDF4, or h5netcdf with h5py.
        """
        if prefs is not None:
            self._check_fitted(prefs, "log_likelihood")
        elif key is not None:
            raise ModelError(
                "to_arviz draws votes again for the users of prefs: call to_arviz(prefs, key=...)."
            )
        predicted = None if prefs is None or key is None else self._replicated(prefs, key, 200)
        return to_arviz(self._mean, self.names, self.draws, prefs, predicted)

    def __repr__(self) -> str:
        data = self.em.data
        chains, draws = self.draws.diverging.shape
        lines = [
            f"{type(self.prior).__name__} prior, {type(self.strength).__name__} strength, full Bayes: "
            f"{counted(data['n_votes'], 'vote')}, {counted(data['n_users'], 'user')}, "
            f"{counted(data['n_comparisons'], 'comparison')}",
            f"{counted(chains, 'chain')} of {counted(draws, 'draw')} in {self.seconds:.1f} s; "
            f"r-hat at most {self.r_hat.max():.3f}, effective draws at least {self.ess_bulk.min():,.0f}",
        ]
        few = diverged_but_few(self)
        lines += [few] if few else []
        lines += spread_lines(self.draws.spreads)
        lines += [f"  {line}" for line in parameter_lines(self.strength, self.estimates())]
        lines += [f"warning: {trouble}" for trouble in sampling_warnings(self)]
        lines += notes_on_draws(self)
        return "\n".join(lines)

    def _each(self, what: str, **options: Any) -> np.ndarray:
        from emjax.bayes.numpyro_import import array_stats

        drawn = self.draws.natural
        # A number that cannot vary, such as the weight of a single point, is known with every draw.
        moves = (drawn != drawn[:1, :1]).any(axis=(0, 1))
        values = np.full(len(moves), 1.0 if what == "rhat" else float(self.draws.diverging.size))
        with np.errstate(divide="ignore", invalid="ignore"):  # a chain that never moved
            read = getattr(array_stats, what)(drawn[..., moves], chain_axis=0, draw_axis=1, **options)
        values[moves] = read
        return values


def _votes(method: str, given: Any) -> Preferences:
    prefs = as_votes(method, given)
    check_together([*parts_of_votes(prefs), "fit_bayes"])
    return prefs


def _given_first(covariance: np.ndarray, n: int) -> np.ndarray:
    """Covariance of normal numbers if the first n of them are known."""
    known, mixed = covariance[:n, :n], covariance[:, :n]
    return covariance - mixed @ np.linalg.pinv(known, hermitian=True) @ mixed.T
