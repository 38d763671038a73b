"""fit_bayes: the same model as fit_em's, under full Bayes."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.diagnostics import sampling_warnings
from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.result import BayesFit, Draws
from emjax.data.preferences import Preferences
from emjax.data.read import VotesLike
from emjax.data.response_patterns import distinct
from emjax.errors import EmjaxWarning, ModelError, warn
from emjax.infer.em import check_model, fit_em, model_parts
from emjax.infer.fit import Fit
from emjax.infer.identifiability import Finding
from emjax.infer.vote_sources import as_source, prepare, source_type
from emjax.infer.votes_on_device import Data
from emjax.model.capabilities import check_together
from emjax.model.model import Model
from emjax.model.prior import Attentiveness
from emjax.model.random_keys import as_key
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_SPREADS = {"spread": "spread of strengths", "spread_context": "spread of strengths over contexts"}
_SURE = 6.0  # standard errors of the vote margin above which the other side is left out
_MAX_DISTANCE = 7.0  # standard deviations from the mode within which few nodes must do for many


def fit_bayes(
    prefs: VotesLike,
    prior: Attentiveness,
    *,
    strength: Strength | None = None,
    behavior: Behavior | None = None,
    hyperpriors: Hyperpriors | None = None,
    num_warmup: int = 1000,
    num_samples: int = 1000,
    num_chains: int = 4,
    target_accept: float = 0.8,
    key: Any,
    collapsed: bool = True,
    progress: bool = True,
) -> BayesFit:
    """Draw from the posterior distribution of attentiveness prior and strengths, by NUTS.

    The users are summed out exactly, so that the sampler sees a handful of parameters whatever their number.
    It starts, and is scaled, from an EM fit.

    Parameters
    ----------
    prefs, prior, strength, behavior
        As in `fit_em`. The numbers in them are starting values, except for `Known` and `Fixed`.
    hyperpriors
        What is believed of the parameters before the votes; by default `Hyperpriors()`. The Beta priors of
        `Shared` and `PerPair` are their own.
    num_warmup, num_samples, num_chains
        Draws per chain that tune the sampler, draws per chain that are kept, and chains.
    target_accept
        The mean acceptance probability, between 0 and 1, that the sampler's step size is tuned to. A higher
        one makes smaller steps: slower, with fewer divergences. 0.95 is the usual remedy for them.
    key
        A JAX random key, or an integer seed.
    collapsed
        False samples the attentiveness of every user too, under a Beta prior and in NumPyro's own way: slow,
        and there for comparison.
    progress
        Show the phase, the draws done and the divergences so far on stderr, where that is a terminal.

    Returns
    -------
    BayesFit

    Raises
    ------
    ModelError
        When prior, strength and votes do not go together, nothing is unknown, there is no hyperprior or no
        exact sum over users for what was asked, or a number or the key cannot be used.
    MissingExtra
        When NumPyro or ArviZ is not installed.

    Warns
    -----
    EmjaxWarning
        When the votes leave something open that the hyperpriors then decide, and when chains disagree,
        have few effective draws, or diverged in more than 0.25 % of the draws.

    Notes
    -----
    With one comparison and an unknown strength, the posterior is a ridge: attentiveness against strength.
    It is sampled along that ridge, on the side of one half that the majority of votes is on, if by more than
    six standard errors; where by less, and under a `Grid`, both sides are sampled.
    A `Grid` of many points has a posterior with many corners: it takes much longer, and may diverge.

    Source: Cai & Li (arXiv 2510.13830) for the model and its Beta(8, 2) prior; Hoffman & Gelman (2014) for
    NUTS; Phan, Pradhan & Jankowiak (2019) for NumPyro.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=2000, votes_per_user=30, prior=emjax.TwoPoint(0.1, 0.9, 0.6))
    >>> fit = emjax.fit_bayes(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74),
    ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
    >>> bool(abs(fit.estimates()["high"].estimate - 0.9) < 4 * fit.estimates()["high"].std_err)
    True
    """
    prefs = as_source("fit_bayes", prefs)
    check_model("fit_bayes", prior, strength, behavior)
    hyperpriors = Hyperpriors() if hyperpriors is None else hyperpriors
    _check_sizes(hyperpriors, num_warmup, num_samples, num_chains)
    _check_target(target_accept)
    key = as_key(key, "fit_bayes")
    from emjax.bayes.numpyro_import import double_precision
    from emjax.bayes.numpyro_model import ONE_PER_USER, RIDGES, Beliefs, check_sites

    begun = time.perf_counter()
    check_together([*model_parts(prefs, prior, strength, behavior), source_type(prefs), "fit_bayes"])
    check_sites(prior, strength)
    em = _quiet_em(prefs, prior, strength, behavior)
    if not em.curvature.names:
        raise ModelError(
            "Nothing is unknown here: the prior is Fixed and the strength Known. `posterior` of a fit_em "
            "says all there is to say of the users."
        )
    if not collapsed and type(prior) not in ONE_PER_USER:
        raise ModelError(
            f"collapsed=False needs a Beta prior, under which NUTS can move users; got a "
            f"{type(prior).__name__}."
        )
    for finding in em.identified.findings:
        if finding.undetermined:
            warn(_ridge(finding))
    with double_precision():
        data, model, _ = prepare(prefs, em.prior, em.strength, em.behavior)
        has_ridge = em.strength.is_shared and type(em.prior) in RIDGES and not data.index.n_known
        side = _side(em, prefs, data) if collapsed and has_ridge else 0
        beliefs = Beliefs(hyperpriors, side)
        keys, schedule = jax.random.split(key, num_chains), (num_warmup, num_samples, float(target_accept))
        if collapsed:
            draws, nodes = _summed_out(model, data, beliefs, schedule, keys, progress)
        else:
            draws, nodes = _one_per_user(model, prefs, data, beliefs, schedule, keys)
    fit = BayesFit(
        draws=draws,
        em=em,
        hyperpriors=hyperpriors,
        seconds=time.perf_counter() - begun,
        n_nodes=nodes,
        target_accept=float(target_accept),
    )
    for trouble in sampling_warnings(fit):
        warn(trouble)
    return fit


def _summed_out(
    model: Model, data: Data, beliefs: Any, schedule: tuple[int, int, float], keys: Any, progress: bool
) -> tuple[Draws, int]:
    from emjax.bayes.laplace_init import around, find_mode, models_at, pilot_at
    from emjax.bayes.marginal_density import (
        all_nodes,
        arranged,
        as_good,
        few_nodes,
        with_likelihood,
        without_rows,
    )
    from emjax.bayes.numpyro_model import with_levels
    from emjax.bayes.progress import shown
    from emjax.bayes.sampler import Schedule, run_chains

    every = all_nodes(model.prior, data)
    beliefs = with_levels(beliefs, model, every)
    pilot = pilot_at(model, every, beliefs)
    few = few_nodes(models_at(model, beliefs, around(pilot, _MAX_DISTANCE)), every)
    pilot = find_mode(pilot, model, few, beliefs)
    for votes in (few, every):
        tabulated = with_likelihood(model, votes)
        with shown(progress, len(keys) * (schedule[0] + schedule[1])) as tell:
            chains = run_chains(model, tabulated, beliefs, pilot, Schedule(*schedule), keys, tell)
        flat = jax.tree.map(lambda x: jnp.asarray(x.reshape(-1, *x.shape[2:])), chains.places)
        drawn = models_at(without_rows(model), beliefs, flat)
        made = Draws.of(drawn, chains.diverging.shape, chains.diverging, chains.n_steps, chains.accept_prob)
        made = replace(made, spreads=_spreads(chains.places, np.exp))  # positive: drawn as logarithms
        # Few nodes were chosen before the range of the posterior was known.
        if as_good(jax.vmap(lambda at: arranged(at, model))(made.farthest()), votes, every):
            break
    return made, len(votes.nodes)


def counts_by_user(prefs: Preferences, data: Data) -> np.ndarray:
    """(m, rows, O) votes of each user in each row of the design, gold questions among them."""
    cells = distinct(prefs)
    counts = np.zeros((cells.n_cells, data.index.n_rows, data.n_outcomes))
    counts[np.repeat(np.arange(cells.n_cells), np.diff(cells.indptr)), cells.comparison] = cells.counts
    return counts[cells.of_user]


def _one_per_user(
    model: Model, prefs: Preferences, data: Data, beliefs: Any, schedule: tuple[int, int, float], keys: Any
) -> tuple[Draws, int]:
    from emjax.bayes.marginal_density import without_rows
    from emjax.bayes.numpyro_import import MCMC, NUTS
    from emjax.bayes.numpyro_model import models_of, one_per_user

    counts = counts_by_user(prefs, data)
    sampler = MCMC(
        NUTS(one_per_user, target_accept_prob=schedule[2]),
        num_warmup=schedule[0],
        num_samples=schedule[1],
        num_chains=len(keys),
        chain_method="vectorized",
        progress_bar=False,
    )
    arguments = jnp.asarray(counts), data.index
    sampler.run(keys[0], model, *arguments, beliefs, extra_fields=("num_steps", "accept_prob"))
    more = sampler.get_extra_fields(group_by_chain=True)
    sites = sampler.get_samples()
    sites.pop("eta")
    shape = np.shape(more["diverging"])
    diagnostics = (np.asarray(more[name]) for name in ("diverging", "num_steps", "accept_prob"))
    drawn = Draws.of(models_of(without_rows(model), beliefs, sites), shape, *diagnostics)
    return replace(drawn, spreads=_spreads(sites, lambda x: np.reshape(x, shape))), 0


def _spreads(places: Mapping[str, Any], read: Callable[[Any], np.ndarray]) -> dict[str, np.ndarray]:
    """The drawn spreads of strengths, under the names that a person reads."""
    return {name: np.asarray(read(places[site])) for site, name in _SPREADS.items() if site in places}


def _quiet_em(prefs: Preferences, prior: Attentiveness, strength: Any, behavior: Any) -> Fit:
    """The EM fit to start from; its warnings are given in other words, or do not apply here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmjaxWarning)
        return fit_em(prefs, prior, strength=strength, behavior=behavior)


def _side(em: Fit, prefs: Preferences, data: Data) -> int:
    """The sign of μ − ½ where the votes determine it and not its size; otherwise 0."""
    wins = prefs.wins_by_comparison()
    margin = float(np.asarray(data.index.comparisons)[:, 1] @ (wins[:, 0] - wins[:, 1]))
    sign = int(np.sign(margin))
    sure = abs(margin) > _SURE * np.sqrt(wins.sum()) and sign == np.sign(
        float(em.strength.natural()[0]) - 0.5
    )
    return sign if sure else 0


def _ridge(finding: Finding) -> str:
    return (
        f"{finding.what} So there is a ridge in the posterior, along which the hyperpriors alone decide: "
        f"intervals of what lies on it are theirs. {finding.remedy}"
    )


def _check_sizes(hyperpriors: Any, num_warmup: Any, num_samples: Any, num_chains: Any) -> None:
    if not isinstance(hyperpriors, Hyperpriors):
        raise ModelError(f"fit_bayes takes as hyperpriors emjax.Hyperpriors(...); got {hyperpriors!r}.")
    for name, value in (("num_warmup", num_warmup), ("num_samples", num_samples), ("num_chains", num_chains)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ModelError(f"fit_bayes needs a whole number {name} >= 1; got {value!r}.")


def _check_target(target_accept: Any) -> None:
    try:
        fine = 0.0 < float(target_accept) < 1.0
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ModelError(
            f"fit_bayes needs a target_accept between 0 and 1, such as 0.8 or 0.95; got {target_accept!r}."
        )
