"""cross_validate: held-out votes predicted by the model and by three simpler baselines."""

import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from emjax.data.outcome_schema import WHO_WON
from emjax.data.partition import part_of
from emjax.data.preferences import Preferences
from emjax.data.read import VotesLike, as_votes
from emjax.decide.predictive_scores import Calibration, held_out_votes, probability_of_votes
from emjax.errors import EmjaxWarning, ModelError, VotesError, warn
from emjax.infer.em import default_strength, fit_em
from emjax.infer.majority_agreement import majority_probability
from emjax.infer.posteriors import posterior
from emjax.model.posterior import Posterior
from emjax.model.prior import Attentiveness, Fixed
from emjax.model.priors_discrete import Points
from emjax.model.response import AttentiveOrRandom, Behavior, default_behavior
from emjax.model.strength import Strength

MODEL, ALL_ATTENTIVE, ONE_FOR_ALL, MAJORITY = (
    "attentiveness",
    "every user attentive",
    "one attentiveness for all",
    "agreement with the majority",
)


def cross_validate(
    prefs: VotesLike,
    prior: Attentiveness,
    *,
    strength: Strength | None = None,
    behavior: Behavior | None = None,
    folds: int = 5,
    seed: Any = 0,
) -> Calibration:
    """Predict every vote from a fit without it, and score that against three simpler baselines.

    Each vote falls into one of `folds` parts at random. The model is fitted without a part, and gives each
    vote of the part the probability Σ_g w_jg P(vote | μ_c, η_g), where w_jg is the posterior of its user.

    Parameters
    ----------
    prefs, prior, strength, behavior
        As in `fit_em`.
    folds : int
        Number of parts, at least 2; so many fits are made, each without one of them.
    seed : int, or numpy.random.Generator
        Of the split; the same seed gives the same one.

    Returns
    -------
    Calibration
        With the predictors "attentiveness" (the model asked for), "every user attentive" (ordinary
        Bradley–Terry, or the strength unadjusted), "one attentiveness for all" (fitted), and
        "agreement with the majority" (a user goes with the majority of the other users on a comparison as
        often as before, smoothed; not where ties or sides are separate outcomes). All use the same votes.

    Raises
    ------
    ModelError
        As `fit_em` does; or when `folds` is less than 2.
    VotesError
        There are too few votes for that many parts.

    Notes
    -----
    Votes of one user are on both sides: the score is about known users, not about new ones. The three
    others use the strength given too, where it is `Known`. Numbers in `prior` or `strength` that were
    fitted to these votes before, and are not fitted again (`Fixed`), would make the score too good. Half
    votes of a tie stay together unless a user has two ties, or more, in one comparison.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=40, prior=emjax.TwoPoint(0.1, 0.9, 0.5))
    >>> found = emjax.cross_validate(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74), folds=2)
    >>> found.gains["every user attentive"].lower > 0
    True
    """
    prefs = as_votes("cross_validate", prefs)
    parts: list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EmjaxWarning)
        for training, held_out in split(prefs, folds, seed):
            user, comparison, outcome, count = held_out_votes(held_out)
            one = {
                name: probability_of_votes(at, user, comparison, outcome)
                for name, at in _posteriors(training, prior, strength, behavior).items()
            }
            if prefs.outcomes == WHO_WON:
                one[MAJORITY] = majority_probability(training, user, comparison, outcome)
            parts.append((user, count, one))
    _warn_once(caught)
    return Calibration(
        user=np.concatenate([user for user, _, _ in parts]),
        count=np.concatenate([count for _, count, _ in parts]),
        probability={name: np.concatenate([one[name] for _, _, one in parts]) for name in parts[0][2]},
        ties=prefs.outcomes.ties,
    )


def split(prefs: Preferences, folds: int, seed: Any) -> Iterator[tuple[Preferences, Preferences]]:
    """Pairs (training votes, held-out votes), one per part; each vote is held out in exactly one of them.

    Each whole vote falls into a part by itself, and what is left of a fractional count in a row goes as one.
    Users and comparisons are those of `prefs` on both sides, with or without votes.
    """
    if not isinstance(folds, int | np.integer) or folds < 2:
        raise ModelError(f"votes are split into a whole number of folds, at least 2; got {folds!r}.")
    rng = np.random.default_rng(seed)
    whole = np.floor(prefs.counts)
    rest = prefs.counts - whole
    place = rng.integers(folds, size=len(rest))  # of the rest of each row
    left = whole.astype(np.int64)
    for fold in range(folds):
        # Votes that are left fall into this part or a later one with equal chances.
        drawn = rng.binomial(left, 1.0 / (folds - fold))
        left = left - drawn
        mine = (place == fold)[:, None]
        training, held_out = (whole - drawn) + np.where(mine, 0.0, rest), drawn + np.where(mine, rest, 0.0)
        if not training.any():
            raise VotesError(
                f"{prefs.n_votes:g} votes are too few for {folds} folds: none was left to learn from"
            )
        if held_out.any():
            yield part_of(prefs, training), part_of(prefs, held_out)


def _posteriors(
    training: Preferences, prior: Attentiveness, strength: Strength | None, behavior: Behavior | None
) -> dict[str, Posterior]:
    """Posteriors given the training votes: under the model, and under two in which all users are alike."""
    sure = Points(1, points=[1.0])
    model: dict[str, Any] = {"strength": strength, "behavior": behavior}
    if training.outcomes == WHO_WON and not (strength is not None and strength.is_learned):
        own = None if strength is not None and strength.items_are_latent else strength
        complete = (default_strength(training.table) if own is None else own).start(training.table)
        with jax.enable_x64(True):
            ordinary = posterior(training, sure, complete.unadjusted(training.table), AttentiveOrRandom())
    else:  # a rule for ties has to be fitted too; all users are attentive
        given = default_behavior(training.table) if behavior is None else behavior
        known = given.with_fixed_rates()
        with warnings.catch_warnings():  # careless behavior is undetermined without careless users
            warnings.simplefilter("ignore", EmjaxWarning)
            ordinary = fit_em(training, Fixed(sure), strength=strength, behavior=known).posterior(training)
    return {
        MODEL: fit_em(training, prior, **model).posterior(training),
        ALL_ATTENTIVE: ordinary,
        ONE_FOR_ALL: fit_em(training, Points(1), **model).posterior(training),
    }


def _warn_once(caught: list[warnings.WarningMessage]) -> None:
    """Give the warnings of the fits, each text once."""
    for text in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, EmjaxWarning)):
        warn(f"In a fit without some of the votes: {text}")
    for other in caught:
        if not issubclass(other.category, EmjaxWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
