"""Posterior predictive votes, and a check of them against the observed votes."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.data.preferences import Preferences
from emjax.infer.posteriors import agreement
from emjax.infer.steps import Model
from emjax.model.pytree import replace
from emjax.model.simulate import draw_attentiveness
from emjax.model.strength import Strength


@dataclass(frozen=True, eq=False, repr=False)
class WinRates:
    """Per-user win rates observed, and in posterior predictive draws.

    A user's win rate is the share of the user's votes for the model that the strengths favour.

    Attributes
    ----------
    edges : (bins + 1,)
    seen : (bins,) observed number of users in each bin
    drawn : (draws, bins) the same in each predictive draw
    sd_seen : float, standard deviation of the win rates over users
    sd_drawn : (draws,)

    Examples
    --------
    >>> import numpy as np
    >>> WinRates(np.array([0, 0.5, 1]), np.array([1, 1]), np.ones((4, 2)), 0.1, np.array([0.1, 0.2, 0.3, 0]))
    win rates over users: standard deviation 0.1000, in predictive draws 0.0000 to 0.3000 (p = 0.75)
    """

    edges: np.ndarray
    seen: np.ndarray
    drawn: np.ndarray
    sd_seen: float
    sd_drawn: np.ndarray

    @property
    def p_value(self) -> float:
        """Share of predictive draws whose win rates spread at least as widely as those observed.

        Near 0 or 1 the model gets the spread of users wrong; it is never quite uniform, because the same
        votes were fitted.
        """
        return float((self.sd_drawn >= self.sd_seen).mean())

    def __repr__(self) -> str:
        low, high = np.quantile(self.sd_drawn, [0.025, 0.975], method="nearest")
        return (
            f"win rates over users: standard deviation {self.sd_seen:.4f}, in predictive draws {low:.4f} to "
            f"{high:.4f} (p = {self.p_value:.2g})"
        )


def replicate(prefs: Preferences, centre: Model, draws: Model, key: Any) -> np.ndarray:
    """(draws, rows) votes for A in each row of `prefs`, by new users who cast as many votes.

    Rows are the pairs of a user and a comparison: `prefs.user`, `prefs.comparison`.
    """
    totals = np.rint(prefs.counts.sum(axis=1)).astype(np.int64)
    n_draws = len(jax.tree.leaves(draws)[0])
    made = np.empty((n_draws, len(totals)))
    with jax.enable_x64(True):
        index = jnp.asarray(centre.strength.index(prefs))
        for i, own in enumerate(jax.random.split(key, n_draws)):
            at = jax.tree.map(lambda x, i=i: x[i], draws)
            for_users, for_votes = jax.random.split(own)
            eta = draw_attentiveness(for_users, at.prior, prefs.n_users)[prefs.user]
            p = np.asarray(_p_a(at, index, jnp.asarray(eta), jnp.asarray(prefs.comparison)))
            rng = np.random.default_rng(np.asarray(jax.random.key_data(for_votes)))
            made[i] = rng.binomial(totals, p)
    return made


@jax.jit
def _p_a(model: Model, index: jax.Array, eta: jax.Array, comparison: jax.Array) -> jax.Array:
    log_p = jax.vmap(model.behavior.log_probability)(eta, 1.0 - eta, model.strength.logits(index)[comparison])
    return jnp.clip(jnp.exp(log_p[:, 0]), 0.0, 1.0)


def win_rates(prefs: Preferences, strength: Strength, drawn: np.ndarray, bins: int) -> WinRates:
    """Compare win rates per user with those of predictive draws, as `replicate` makes them."""
    totals = np.rint(prefs.counts.sum(axis=1))
    edges = np.linspace(0.0, 1.0, bins + 1)
    observed = agreement(prefs, strength)
    rates = []
    for a in drawn:
        votes = replace(prefs, counts=np.stack([a, totals - a], axis=1))
        rates.append(agreement(votes, strength))
    return WinRates(
        edges=edges,
        seen=np.histogram(observed, edges)[0],
        drawn=np.stack([np.histogram(x, edges)[0] for x in rates]),
        sd_seen=float(np.nanstd(observed)),
        sd_drawn=np.array([float(np.nanstd(x)) for x in rates]),
    )
