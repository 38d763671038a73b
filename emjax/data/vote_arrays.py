"""Single votes from arrays, one row each: checked and sorted for `Preferences`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.data.anchors import AnchorVotes, answered, check_gold_accuracy
from emjax.data.array_checks import check_first, check_gold, check_some, check_won
from emjax.data.binning import SIDE, Feature
from emjax.data.comparisons import distinct_comparisons, in_contexts
from emjax.data.ids import as_ids, offenders, unique_ids
from emjax.data.outcome_schema import Outcomes
from emjax.data.row_rules import ITSELF, REASONS
from emjax.data.strata import VoteStrata
from emjax.errors import VotesError


@dataclass(frozen=True, eq=False)
class Listed:
    """Votes on questions without a known answer, one row each; and the anchor votes.

    Attributes
    ----------
    users : (m,) ids, sorted and unique
    user, comparison : (n,) indices into `users` and `given`
    given : (C,) labels or (C, 2) model names
    counts : (n, O)
    shown : (C, 2)
    outcomes : Outcomes
    contexts : (C,) or None
    anchor_votes : `AnchorVotes` or None
    left_out : tuple of (str, float)
    """

    users: np.ndarray
    user: np.ndarray
    given: np.ndarray
    comparison: np.ndarray
    counts: np.ndarray
    shown: np.ndarray
    outcomes: Outcomes
    contexts: np.ndarray | None
    anchor_votes: AnchorVotes | None
    left_out: tuple[tuple[str, float], ...]


def listed_votes(
    user: Any,
    comparison: Any,
    won: Any,
    *,
    shown_first: Any,
    context: Any,
    gold: Any,
    gold_accuracy: float,
    ties: str,
    strict: bool,
) -> Listed:
    """Single votes as `Preferences.from_votes` takes them; raises what that raises."""
    users, user = unique_ids(as_ids(user, "user"))
    won = check_won(np.asarray(won))
    given, comparison = distinct_comparisons(comparison)
    if not user.size == comparison.size == won.size:
        lengths = f"{user.size:,} users, {comparison.size:,} comparisons and {won.size:,} outcomes"
        raise VotesError(f"one row per vote is needed, got {lengths}: give three columns of one length")
    if user.size == 0:
        raise VotesError("there are no votes: give at least one row")
    if ties not in ("half", "model"):
        raise VotesError(f'ties={ties!r} is not known: give "half" or "model"')
    first = None if shown_first is None else check_first(np.asarray(shown_first), won.size)
    right = np.full(won.size, np.nan) if gold is None else check_gold(gold, won.size)
    itself, contexts = comparison < 0, None
    if itself.any() and strict:
        raise VotesError(offenders(itself, "compare a model with itself", remedy="leave those rows out"))
    if context is not None:
        given, contexts, comparison = in_contexts(given, np.maximum(comparison, 0), context)
    outcomes = Outcomes(sides=first is not None, ties=ties == "model")
    left_out: tuple[tuple[str, float], ...] = ()
    if itself.any():
        left_out = ((REASONS[ITSELF], float(itself.sum())),)
        used, comparison = unique_ids(comparison[~itself])
        given, contexts = given[used], None if contexts is None else contexts[used]
        voted, user = unique_ids(user[~itself])
        if voted.size < users.size:
            left_out += (("users with no vote left", float(users.size - voted.size)),)
        users, won, right = users[voted], won[~itself], right[~itself]
        first = None if first is None else first[~itself]
    plain, known = np.isnan(right), ~np.isnan(right)
    anchor_votes = None
    if known.any():
        check_some(plain)
        side = None if first is None else first[known]
        votes = user[known], right[known], won[known], np.ones(known.sum()), side
        check_gold_accuracy(gold_accuracy)
        anchor_votes = answered(users, *votes, outcomes, gold_accuracy)
        used, comparison = unique_ids(comparison[plain])
        given, contexts = given[used], None if contexts is None else contexts[used]
        user, won, first = user[plain], won[plain], None if first is None else first[plain]
    counts = outcomes.counts(won, np.ones(won.size), first)
    shown = np.zeros((len(given), 2))
    shown[:, 0] = np.bincount(comparison, minlength=len(given))
    return Listed(users, user, given, comparison, counts, shown, outcomes, contexts, anchor_votes, left_out)


def strata_of(
    vote_features: Mapping[str, Any] | None,
    bins: int,
    covariates: Mapping[str, Any] | None,
    covariate_bins: int,
    comparison: Any,
    context: Any,
    shown_first: Any,
) -> tuple[VoteStrata | None, Any]:
    """Strata cut from features and covariates, if any are given, and the context of each vote."""
    if vote_features is None and covariates is None:
        return None, context
    if context is not None:
        raise VotesError(
            "vote_features and covariates make the context of a vote: give them, or context, not both"
        )
    columns = {**(vote_features or {}), **_with_signs(covariates or {}, shown_first)}
    signed = None if covariates is None else {name: columns[name] for name in covariates}
    strata = VoteStrata.cut(vote_features, bins=bins, covariates=signed, covariate_bins=covariate_bins)
    pairs = None
    if covariates is not None:
        given, place = distinct_comparisons(comparison)
        if given.ndim != 2:
            raise VotesError("covariates need pairs of models, and these comparisons are labels")
        pairs = given[place]
    return strata, strata.label({Feature.named(name).column: of for name, of in columns.items()}, pairs)


def _with_signs(covariates: Mapping[str, Any], shown_first: Any) -> dict[str, Any]:
    """Covariates, with the side shown first as 1 for A and -1 for B."""
    signed = dict(covariates)
    if SIDE.column in signed:
        if shown_first is None:
            raise VotesError("covariates name shown_first: give shown_first, too")
        first = np.asarray(shown_first)
        side = check_first(np.asarray(signed[SIDE.column]), first.size)
        if (side != check_first(first, first.size)).any():
            raise VotesError("the covariate shown_first and shown_first differ: give the same to both")
        signed[SIDE.column] = np.where(side, 1, -1)
    return signed
