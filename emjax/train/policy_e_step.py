"""The E-step with a policy in the place of strengths: users who agree with it count as attentive.

For the votes on a pair x, an attentive user prefers chosen with probability p(x) = σ(βh(x)).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.errors import VotesError
from emjax.model.array_namespace import AnyArray
from emjax.model.likelihood import Nodes, log_probabilities, marginal
from emjax.model.prior import Attentiveness
from emjax.model.response import AttentiveOrRandom


class Reliability(NamedTuple):
    """What the votes and a policy say of each user, and of each vote's user by the other votes.

    Attributes
    ----------
    users : (m,) ids, sorted
    attentiveness : (m,) posterior mean E[η]
    by_vote : (n,) the same without the vote itself: what the attentive loss should read
    log_likelihood : float, marginal log-likelihood of the votes
    """

    users: np.ndarray
    attentiveness: np.ndarray
    by_vote: np.ndarray
    log_likelihood: float


def reliability(margins: Any, users: Any, prior: Attentiveness) -> Reliability:
    """E-step: attentiveness of users, given how strongly the policy prefers what each vote chose.

    Parameters
    ----------
    margins : (n,)
        βh of each vote's pair, chosen over rejected, in natural logarithms.
    users : (n,) ids
    prior
        Distribution of attentiveness over users, such as `fit.prior`; it is not updated.

    Returns
    -------
    Reliability

    Raises
    ------
    VotesError
        Lengths differ, there is no vote, or a margin is not a finite number.

    Notes
    -----
    Votes of one user count as independent given η and the policy. A limit: a policy that has memorised a vote
    agrees with it, and then finds its user attentive; leaving the vote out does not undo that.

    Examples
    --------
    >>> from emjax import Beta
    >>> found = reliability([3.0, 3.0, -3.0, 3.0], ["ann", "ann", "bob", "bob"], Beta(1, 1))
    >>> found.attentiveness.round(2)
    array([0.6 , 0.41])
    >>> found.by_vote.round(2)
    array([0.55, 0.55, 0.55, 0.36])
    """
    margins, users = np.asarray(margins, dtype=np.float64), np.asarray(users)
    if margins.ndim != 1 or margins.shape != users.shape or not len(margins):
        raise VotesError(
            f"reliability needs one margin and one user for each vote; got shapes {margins.shape} and "
            f"{users.shape}."
        )
    wrong = np.flatnonzero(~np.isfinite(margins))
    if len(wrong):
        raise VotesError(
            f"{len(wrong):,} of {len(margins):,} margins are not finite, first in row {wrong[0]}: training "
            "has diverged; lower the learning rate."
        )
    ids, user = np.unique(users, return_inverse=True)
    with jax.enable_x64(True):
        nodes = prior.nodes()
        eta, rest, log_weights = (jnp.asarray(x, jnp.float64) for x in (*nodes, prior.log_weights()))
        found = _posterior_means(eta, rest, log_weights, jnp.asarray(margins), jnp.asarray(user), len(ids))
        mean, other, total = (np.asarray(x) for x in found)
    return Reliability(ids, mean, other, float(total))


def _posterior_means(
    eta: Float[AnyArray, " nodes"],
    rest: Float[AnyArray, " nodes"],
    log_weights: Float[AnyArray, " nodes"],
    margins: Float[AnyArray, " votes"],
    user: Int[Array, " votes"],
    n_users: int,
) -> tuple[Float[AnyArray, " users"], Float[AnyArray, " votes"], Float[AnyArray, ""]]:
    log_vote = log_probabilities(AttentiveOrRandom(), Nodes(eta, rest), margins)[:, 0, :]
    by_user = jax.ops.segment_sum(log_vote, user, n_users)
    log_likelihood, posterior = marginal(by_user, log_weights)
    _, others = marginal(by_user[user] - log_vote, log_weights)
    return posterior @ eta, others @ eta, jnp.sum(log_likelihood)
