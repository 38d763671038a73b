"""From a fit and votes to every user's posterior."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from emjax.data.partition import divided
from emjax.data.preferences import Preferences
from emjax.data.response_patterns import distinct
from emjax.infer.belief_propagation import believed
from emjax.infer.count_layout import Layout, lay_out_alike
from emjax.infer.steps import log_p_table
from emjax.infer.vote_sources import design_index
from emjax.infer.votes_on_device import compiled, is_small
from emjax.model.array_namespace import AnyArray
from emjax.model.design import DesignIndex
from emjax.model.likelihood import marginal
from emjax.model.model import Model
from emjax.model.posterior import Posterior
from emjax.model.prior import Attentiveness
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_NEGLIGIBLE = 1e-14
_MAX_ELEMENTS = 1 << 25  # rows × nodes processed together


def posterior(prefs: Preferences, prior: Attentiveness, strength: Strength, behavior: Behavior) -> Posterior:
    """Posterior of attentiveness of the users of `prefs` under a model, fitted or not."""
    behavior.check(prefs.outcomes)
    if strength.items_are_latent:
        return _from_messages(prefs, prior, strength, behavior)
    cells = distinct(prefs)
    with jax.enable_x64(True):
        model = Model(prior, strength.bare(), behavior.on(prefs.table))
        index, eta = design_index(strength, prefs.table), np.asarray(prior.nodes().eta)
        parts = divided(cells, max(-(-cells.n_cells * len(eta) // _MAX_ELEMENTS), 1))
        blocks, log_p = [], np.zeros((0, len(eta)))
        for layout, place in lay_out_alike(parts):
            run = compiled(_posterior, small=is_small(len(layout.multiplicity), len(eta)))
            rows, log_p = (np.asarray(x) for x in run(layout, model, index))
            keep = worth_keeping(rows, prior)
            blocks.append((rows[np.ix_(place, keep)], keep))
    anyone = np.any([keep for _, keep in blocks], axis=0)
    probabilities = np.zeros((cells.n_cells, int(anyone.sum())))
    first = 0
    for rows, keep in blocks:
        probabilities[first : first + len(rows), keep[anyone]] = rows
        first += len(rows)
    return with_behavior(
        on_nodes(prefs, prior, cells.of_user, probabilities, log_p, eta, anyone), model.behavior
    )


def with_behavior(found: Posterior, behavior: Behavior) -> Posterior:
    """With what single votes need: careless votes, attention odds, and the share of attentive votes."""
    with jax.enable_x64(True):
        careless, tilts = behavior.careless(), behavior.tilts()
    found = replace(found, careless=None if careless is None else np.asarray(careless))
    if tilts is None:
        return found
    prefs = found.prefs
    assert prefs is not None
    tilts = np.asarray(tilts)[: prefs.n_comparisons]
    first = np.unique(found.row, return_index=True)[1]  # users of one row have the same votes
    mine = np.isin(prefs.user, first)
    size = prefs.counts[mine].sum(axis=1) / np.maximum(prefs.votes_by_user(), 1e-300)[prefs.user[mine]]
    places = found.row[prefs.user[mine]], prefs.comparison[mine]
    share = csr_array((size, places), shape=(len(found.probabilities), prefs.n_comparisons))
    with_odds = replace(found, tilts=tilts)
    looks = share @ with_odds.looking(np.arange(prefs.n_comparisons))[0]
    silent = np.asarray(share.sum(axis=1)) == 0.0  # rows without votes
    return replace(with_odds, looks=np.where(silent[:, None], found.eta, looks))


def _from_messages(prefs: Preferences, prior: Attentiveness, strength: Any, behavior: Behavior) -> Posterior:
    """The same where items are latent too: votes are left out by what the others say of their items."""
    found = believed(prefs, prior, strength, behavior)
    with jax.enable_x64(True):
        eta, careless = np.asarray(prior.nodes().eta), behavior.careless()
    keep = worth_keeping(found.users, prior)
    probabilities = found.users[:, keep]
    return Posterior(
        users=prefs.users,
        eta=eta[keep],
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        row=np.arange(prefs.n_users),
        log_spacing=_widths(prior, keep),
        has_mode=prior.mode_is_finite(),
        log_votes=found.log_votes(keep),
        prefs=prefs,
        log_left=found.log_votes(keep, without_own=True),
        careless=None if careless is None else np.asarray(careless),
        leaning=found.without_own @ (np.asarray(strength.nodes) - 0.5),
    )


def worth_keeping(probabilities: np.ndarray, prior: Attentiveness) -> np.ndarray:
    """(G,) nodes with posterior mass; a density keeps its ends, where modes can be."""
    keep = probabilities.max(axis=0, initial=0.0) > _NEGLIGIBLE
    return keep | (np.convolve(keep, np.ones(3), mode="same") > 0) if prior.continuous else keep


def _widths(prior: Attentiveness, keep: np.ndarray) -> np.ndarray | None:
    """Log of dη of the nodes that are kept, under a density."""
    spacing = prior.log_spacing()
    return None if spacing is None else np.asarray(spacing)[keep]


def on_nodes(
    prefs: Preferences,
    prior: Attentiveness,
    row: np.ndarray,
    probabilities: np.ndarray,
    log_votes: np.ndarray,
    eta: np.ndarray,
    keep: np.ndarray,
) -> Posterior:
    """The Posterior of the users of `prefs`, from probabilities at the nodes to `keep` (n, K).

    `log_votes` (C·O, G, and more rows for questions) and `eta` (G,) are those of all nodes. The others would
    only take memory.
    """
    terms = prefs.n_comparisons * prefs.outcomes.n
    return Posterior(
        users=prefs.users,
        eta=eta[keep],
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        row=row,
        log_spacing=_widths(prior, keep),
        has_mode=prior.mode_is_finite(),
        log_votes=log_votes[:terms].reshape(prefs.n_comparisons, -1, len(eta))[:, :, keep],
        prefs=prefs,
    )


def _posterior(
    layout: Layout, model: Model, index: DesignIndex
) -> tuple[Float[AnyArray, "rows nodes"], Float[AnyArray, "terms nodes"]]:
    log_p = log_p_table(model, index)
    return marginal(layout.forward(log_p), model.prior.log_weights())[1], log_p


def user_columns(prefs: Preferences, at: Posterior, strength: Strength) -> dict[str, np.ndarray]:
    """Columns of `users.parquet`, one value per user of `prefs`."""
    return {
        "n_votes": prefs.votes_by_user(),
        "attentiveness": at.mean,
        "attentiveness_sd": at.sd,
        "attentiveness_map": at.mode,
        "prob_attentive": at.prob_above(0.5),
        "flip_rate": at.flip_rate,
        "agreement": agreement(prefs, strength, at.leaning),
    }


def agreement(prefs: Preferences, strength: Strength, leaning: np.ndarray | None = None) -> np.ndarray:
    """(m,) share of each user's votes for the model that the strengths favour; NaN without any.

    Under PerItem strengths `leaning` (C, O) says what the others favour, for those who gave an outcome.
    """
    if leaning is None:
        with jax.enable_x64(True):
            logits = np.asarray(strength.logits(strength.index(prefs.table)))
        leaning = np.broadcast_to(logits[:, None], (len(logits), prefs.outcomes.n))
    side = np.sign(np.round(leaning, 12))[prefs.comparison]
    for_a, for_b = (prefs.outcomes.wins(prefs.counts * (side == sign)) for sign in (1, -1))
    won = np.bincount(prefs.user, weights=for_a[:, 0] + for_b[:, 1], minlength=prefs.n_users)
    cast = np.bincount(prefs.user, weights=(for_a + for_b).sum(axis=1), minlength=prefs.n_users)
    with np.errstate(invalid="ignore", divide="ignore"):
        return won / cast
