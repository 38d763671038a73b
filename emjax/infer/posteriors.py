"""From a fit and votes to every user's posterior."""

import jax
import numpy as np

from emjax.infer.data import Data
from emjax.infer.prepare import prepare
from emjax.infer.steps import Model, table
from emjax.model.attentiveness import Attentiveness
from emjax.model.behavior import Behavior
from emjax.model.likelihood import marginal
from emjax.model.posterior import Posterior
from emjax.model.quadrature import double_exponential
from emjax.model.strength import Strength
from emjax.votes.preferences import Preferences

_NEGLIGIBLE = 1e-14


def posterior(prefs: Preferences, prior: Attentiveness, strength: Strength, behavior: Behavior) -> Posterior:
    """Posterior of attentiveness of the users of `prefs` under a model, fitted or not."""
    with jax.enable_x64(True):
        data, model, row = prepare(prefs, prior, strength, behavior)
        probabilities, terms, eta = (np.asarray(x) for x in _posterior(model, data))
    return on_nodes(prefs, prior, row, probabilities, terms, eta)


def on_nodes(
    prefs: Preferences,
    prior: Attentiveness,
    row: np.ndarray,
    probabilities: np.ndarray,
    log_votes: np.ndarray,
    eta: np.ndarray,
) -> Posterior:
    """The Posterior of the users of `prefs`, from (n, G) probabilities and (C·O, G) votes at nodes (G,)."""
    keep = probabilities.max(axis=0) > _NEGLIGIBLE
    # Nodes that nobody is at would only take memory; a density keeps its ends, where modes are looked for.
    keep |= np.convolve(keep, np.ones(3), mode="same") > 0 if prior.continuous else False
    probabilities = probabilities[:, keep] / probabilities[:, keep].sum(axis=1, keepdims=True)
    return Posterior(
        users=prefs.users,
        eta=eta[keep],
        probabilities=probabilities,
        row=row,
        log_spacing=double_exponential().log_spacing[keep] if prior.continuous else None,
        has_mode=prior.mode_is_finite(),
        log_votes=log_votes.reshape(prefs.n_comparisons, -1, len(eta))[:, :, keep],
        prefs=prefs,
    )


@jax.jit
def _posterior(model: Model, data: Data):
    log_p = table(model, data.index)
    _, probabilities = marginal(data.layout.forward(log_p), model.prior.log_weights())
    return probabilities, log_p, model.prior.nodes().eta


def user_columns(prefs: Preferences, at: Posterior, strength: Strength) -> dict[str, np.ndarray]:
    """Columns of `users.parquet`, one value per user of `prefs`."""
    return {
        "n_votes": prefs.votes_by_user(),
        "attentiveness": at.mean,
        "attentiveness_sd": at.sd,
        "attentiveness_map": at.mode,
        "prob_attentive": at.prob_above(0.5),
        "flip_rate": at.flip_rate,
        "agreement": agreement(prefs, strength),
    }


def agreement(prefs: Preferences, strength: Strength) -> np.ndarray:
    """(m,) share of each user's votes for the model that the strengths favour; NaN without any."""
    with jax.enable_x64(True):
        logits = np.asarray(strength.logits(strength.index(prefs)))
    side = np.sign(logits)[prefs.comparison]
    favoured = np.where(side > 0, prefs.counts[:, 0], prefs.counts[:, 1]) * (side != 0)
    total = prefs.counts.sum(axis=1) * (side != 0)
    won = np.bincount(prefs.user, weights=favoured, minlength=prefs.n_users)
    cast = np.bincount(prefs.user, weights=total, minlength=prefs.n_users)
    with np.errstate(invalid="ignore", divide="ignore"):
        return won / cast
