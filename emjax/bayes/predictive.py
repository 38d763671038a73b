"""Posterior predictive votes, and a check of the spread of users' win rates against the observed votes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.marginal_density import arranged
from emjax.data.preferences import Preferences
from emjax.infer.posteriors import agreement
from emjax.model.attention_covariates import tilted
from emjax.model.likelihood import Nodes, nodes_at
from emjax.model.model import Model
from emjax.model.pytree import replace
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


class Replicate(NamedTuple):
    """Votes as one draw of the parameters makes them, and the model of this draw."""

    counts: np.ndarray  # (rows, O)
    model: Model


def replicate(prefs: Preferences, centre: Model, draws: Model, key: Any) -> np.ndarray:
    """(draws, rows, O) votes of each outcome in each row of `prefs`, as `replicates` makes them."""
    return np.stack([one.counts for one in replicates(prefs, centre, draws, key)])


def replicates(prefs: Preferences, centre: Model, draws: Model, key: Any) -> Iterator[Replicate]:
    """The votes of new users, who cast as many votes in the same comparisons, from each of `draws`.

    Rows are the pairs of a user and a comparison: `prefs.user`, `prefs.comparison`. Where sides are
    distinguished, as many votes show A first as in `prefs`.
    """
    groups = [np.array(group) for group in prefs.outcomes.by_side]
    totals = [np.rint(prefs.counts[:, group].sum(axis=1)).astype(np.int64) for group in groups]
    n_draws = len(jax.tree.leaves(draws)[0])
    with jax.enable_x64(True):
        index, behavior = jnp.asarray(centre.strength.index(prefs.table)), centre.behavior.on(prefs.table)
        at = replace(centre, strength=centre.strength.bare(), behavior=behavior)
        keys = jax.random.split(key, n_draws)
    for i in range(n_draws):
        counts = np.zeros(prefs.counts.shape)
        with jax.enable_x64(True):  # not while the caller works on what is yielded
            drawn = arranged(jax.tree.map(lambda x, i=i: x[i], draws), at)
            for_users, for_votes = jax.random.split(keys[i])
            eta = drawn.prior.draw(for_users, prefs.n_users)[prefs.user]
            p = np.asarray(vote_probabilities(drawn, index, jnp.asarray(eta), jnp.asarray(prefs.comparison)))
            rng = np.random.default_rng(np.asarray(jax.random.key_data(for_votes)))
            for group, total in zip(groups, totals, strict=True):
                share = p[:, group] / p[:, group].sum(axis=1, keepdims=True)
                counts[:, group] = rng.multinomial(total, share)
        yield Replicate(counts, drawn)


@jax.jit
def vote_probabilities(model: Model, index: jax.Array, eta: jax.Array, comparison: jax.Array) -> jax.Array:
    """(n, O) probability of each outcome of votes by users of attentiveness `eta`, each in its comparison."""
    logits, tilts = model.strength.logits(index)[comparison], model.behavior.tilts()
    nodes = nodes_at(eta)
    if tilts is not None:
        nodes = Nodes(*tilted(nodes.eta, nodes.rest, tilts[comparison]))
    return jnp.exp(jax.vmap(model.behavior.log_probability)(nodes.eta, nodes.rest, logits))


def win_rates(prefs: Preferences, strength: Strength, drawn: np.ndarray, bins: int) -> WinRates:
    """Compare win rates per user with those of predictive draws, as `replicate` makes them."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    observed = agreement(prefs, strength)
    rates = [agreement(replace(prefs, counts=counts), strength) for counts in drawn]
    return WinRates(
        edges=edges,
        seen=np.histogram(observed, edges)[0],
        drawn=np.stack([np.histogram(x, edges)[0] for x in rates]),
        sd_seen=float(np.nanstd(observed)),
        sd_drawn=np.array([float(np.nanstd(x)) for x in rates]),
    )
