"""Exact training of the log-linear policy of alignment_world: losses of a vote, Newton, and two kinds of EM.

A log-linear policy exp(features @ u / beta) has the DPO margin beta h = (chosen - rejected) @ u, whatever
beta is. So DPO is a logistic regression, and each loss below is a function of that margin and of one number
about the vote. It is minimised to convergence in double precision; nothing depends on a step size.
"""

from functools import partial

import jax
import jax.numpy as jnp

RIDGE = 1e-6  # per vote: keeps the minimum finite where votes are separable, and is far below all curvature
RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, RIDGE)  # tried from the strongest on
NODES = 41  # of attentiveness on [0, 1], where it is estimated again from the policy


def dpo(margin, _):
    """-log P(the chosen answer is preferred)."""
    return jax.nn.softplus(-margin)


def soft(margin, label):
    """cDPO: the chosen answer is the preferred one with probability `label`."""
    return label * jax.nn.softplus(-margin) + (1.0 - label) * jax.nn.softplus(margin)


def rdpo(margin, flip):
    """rDPO: unbiased for DPO's loss on unflipped votes if a share `flip` of votes is flipped."""
    return ((1.0 - flip) * jax.nn.softplus(-margin) - flip * jax.nn.softplus(margin)) / (1.0 - 2.0 * flip)


def attentive(margin, eta):
    """The behavior model as a loss: judged with probability `eta`, else a coin."""
    return -jnp.log(eta * jax.nn.sigmoid(margin) + 0.5 * (1.0 - eta))


CONVEX = (dpo, soft, rdpo)


def solved(matrix, right):
    """matrix^-1 right, by elimination; LAPACK's batched solver came to a standstill here on two cores."""

    def eliminate(k, both):
        row = both[k] / both[k, k]
        return (both - both[:, k, None] * row[None, :]).at[k].set(row)

    both = jnp.concatenate([matrix, right[:, None]], axis=1)
    return jax.lax.fori_loop(0, right.size, eliminate, both)[:, -1]


def minimise(loss, signed, weight, about, start, *, ridge=RIDGE, steps=60, tol=1e-13):
    """Newton's method with halving, from `start`, until the decrement is below `tol`.

    Parameters
    ----------
    loss : function of a margin and a number
    signed : (votes, features), chosen less rejected
    weight, about : (votes,)
    start : (features,)
    ridge : of the penalty ridge |u|² / 2, to which the votes' losses are compared by their mean

    Returns
    -------
    u : (features,)
    decrement : Newton's decrement, half of the predicted gain; large where there is no minimum
    """
    share = weight / weight.sum()
    slope = jax.vmap(jax.grad(loss))
    bend = jax.vmap(jax.grad(jax.grad(loss)))
    shrink = ridge * jnp.eye(start.size)

    def value(u):
        return share @ loss(signed @ u, about) + 0.5 * ridge * u @ u

    def newton(u):
        margin = signed @ u
        gradient = (share * slope(margin, about)) @ signed + ridge * u
        curve = share * bend(margin, about)
        direction = solved((signed * curve[:, None]).T @ signed + shrink, gradient)
        if loss not in CONVEX:
            # where the curvature is negative, its absolute value scales the step
            safe = solved((signed * jnp.abs(curve)[:, None]).T @ signed + shrink, gradient)
            direction = jnp.where(gradient @ direction > 0, direction, safe)
        return gradient, direction

    def go_on(state):
        _, decrement, step = state
        return (decrement > tol) & (step < steps)

    def advance(state):
        u, _, step = state
        gradient, direction = newton(u)
        here, promise = value(u), gradient @ direction

        def too_far(size):
            return (value(u - size * direction) > here - 1e-4 * size * promise + 1e-15) & (size > 1e-6)

        size = jax.lax.while_loop(too_far, lambda size: 0.5 * size, jnp.ones(()))
        return u - size * direction, 0.5 * promise, step + 1

    u, decrement, _ = jax.lax.while_loop(go_on, advance, (start, jnp.inf * jnp.ones(()), 0))
    return u, decrement


@partial(jax.jit, static_argnames="loss")
def train(loss, signed, weight, about, start=None):
    """`minimise`, from `start` or else the reference policy, over seeds: the first axis of every array."""
    start = jnp.zeros_like(signed[:, 0]) if start is None else start
    return jax.vmap(partial(minimise, loss))(signed, weight, about, start)


@partial(jax.jit, static_argnames="loss")
def train_with_ridge(loss, signed, about):
    """`train` with the ridge, of RIDGES, under which every fifth vote is predicted best from the others.

    Returns
    -------
    u : (seeds, features), from all votes
    decrement : (seeds,)
    ridge : (seeds,) the one that was chosen
    """

    def one(signed, about):
        even, out = jnp.ones(about.size), jnp.arange(about.size) % 5 == 4

        def shrunk_less(u, ridge):
            u, _ = minimise(loss, signed, jnp.where(out, 0.0, 1.0), about, u, ridge=ridge)
            return u, (jnp.where(out, loss(signed @ u, about), 0.0).sum(), u)

        grid = jnp.asarray(RIDGES)
        _, (lost, found) = jax.lax.scan(shrunk_less, jnp.zeros(signed.shape[1]), grid)
        best = lost.argmin()
        u, decrement = minimise(loss, signed, even, about, found[best], ridge=grid[best])
        return u, decrement, grid[best]

    return jax.vmap(one)(signed, about)


@partial(jax.jit, static_argnames="rounds")
def repo(signed, users, rounds=200):
    """RE-PO as published: reliability of users and labels' correctness from the policy alone, start 0.9.

    P(the label is correct | policy, reliability), then DPO on labels that are so correct, then a user's
    reliability as the mean over the user's labels; each round trains to the end, and rounds go on until no
    coefficient of the policy moves by more than 1e-3.

    Parameters
    ----------
    signed : (seeds, votes, features); votes of a user stand together
    users : (seeds, users), only for their number

    Returns
    -------
    u : (seeds, features)
    reliability : (seeds, users)
    moved : (seeds,) by how much a coefficient moved at last
    """

    def one(signed, users):
        m, each = users.size, signed.shape[0] // users.size
        even = jnp.ones(signed.shape[0])

        def advance(state):
            u, reliability, _, step = state
            p, r = jax.nn.sigmoid(signed @ u), jnp.repeat(reliability, each, total_repeat_length=m * each)
            correct = r * p / (r * p + (1.0 - r) * (1.0 - p))
            better, _ = minimise(soft, signed, even, correct, u, steps=4, tol=1e-10)
            reliability = correct.reshape(m, each).mean(axis=1)
            # the reference is uninformative about labels: at first reliabilities stay while the policy moves
            return better, reliability, jnp.abs(better - u).max(), step + 1

        start = (jnp.zeros(signed.shape[1]), jnp.full(m, 0.9), jnp.ones(()), 0)
        u, reliability, moved, _ = jax.lax.while_loop(
            lambda state: (state[2] > 1e-3) & (state[3] < rounds), advance, start
        )
        return u, reliability, moved

    return jax.vmap(one)(signed, users)


@partial(jax.jit, static_argnames="rounds")
def reestimated(signed, prior, users, start, rounds=60):
    """The attentive loss with attentiveness estimated again from the policy, by our E-step.

    In each round P(vote | attentiveness) is taken with the policy's own probability for the pair, in place of
    the mean strength; each vote's attentiveness is the mean given the user's other votes; the prior's
    weights on a grid take an EM step; the policy is trained anew.

    Parameters
    ----------
    signed : (seeds, votes, features); votes of a user stand together
    prior : (seeds, NODES), where weights start
    users : (seeds, users), only for their number
    start : (seeds, features), trained with attentiveness from the votes' asymmetry

    Returns
    -------
    u : (seeds, features)
    eta : (seeds, votes)
    moved : (seeds,) by how much attentiveness moved at last
    """
    nodes = jnp.linspace(0.0, 1.0, NODES)

    def one(signed, prior, users, start):
        m, each = users.size, signed.shape[0] // users.size
        even = jnp.ones(signed.shape[0])

        def advance(state):
            u, eta, weights, _, step = state
            p = jax.nn.sigmoid(signed @ u)
            # a policy far from the reference can call a vote impossible
            table = jnp.log(jnp.maximum(0.5 + nodes[None, :] * (p[:, None] - 0.5), 1e-9))
            of_user = table.reshape(m, each, NODES).sum(axis=1) + jnp.log(weights)[None, :]
            others = jax.nn.softmax(jnp.repeat(of_user, each, axis=0, total_repeat_length=m * each) - table)
            new = others @ nodes
            u, _ = minimise(attentive, signed, even, new, u, steps=6, tol=1e-10)
            weights = jax.nn.softmax(of_user).mean(axis=0)
            return u, new, jnp.maximum(weights, 1e-12), jnp.abs(new - eta).max(), step + 1

        begin = (start, jnp.zeros(signed.shape[0]), jnp.maximum(prior, 1e-12), jnp.ones(()), 0)
        u, eta, _, moved, _ = jax.lax.while_loop(
            lambda state: (state[3] > 1e-3) & (state[4] < rounds), advance, begin
        )
        return u, eta, moved

    return jax.vmap(one)(signed, prior, users, start)
