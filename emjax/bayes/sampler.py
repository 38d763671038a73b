"""Chains of NUTS, as many at a time as there are processor cores."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from emjax.bayes.laplace_init import Pilot, Place, energy
from emjax.bayes.marginal_density import VotesOnNodes
from emjax.bayes.numpyro_import import double_precision, hmc
from emjax.bayes.numpyro_model import Beliefs
from emjax.bayes.progress import Tell
from emjax.model.model import Model

_LEG = 100  # draws between two reports of progress
_WORTH_HALVING = 200


class Chains(NamedTuple):
    """What was drawn: unconstrained places, and the sampler's statistics; leading axes (chains, draws)."""

    places: Place
    diverging: np.ndarray
    n_steps: np.ndarray
    accept_prob: np.ndarray


class Frame(NamedTuple):
    """Coordinates z in which the posterior is about standard normal: its middle, a root of its covariance.

    The sampler moves in z, because its own estimate of scales starts from, and is drawn towards, ones.
    """

    middle: Place
    root: Any

    def place(self, z: Any) -> Place:
        """From z to the sites' unconstrained coordinates."""
        flat, back = ravel_pytree(self.middle)
        return back(flat + self.root @ z)


class Schedule(NamedTuple):
    """How many draws tune the sampler and to what mean acceptance probability, and how many are kept."""

    warmup: int
    samples: int
    target_accept: float


def run_chains(
    model: Model,
    votes: VotesOnNodes,
    beliefs: Beliefs,
    pilot: Pilot,
    schedule: Schedule,
    keys: Any,
    tell: Tell,
) -> Chains:
    """One chain per key, from places drawn around the pilot's; `tell` is told of new draws.

    Half of the warm-up explores, if it is of 200 draws or more; the mean and covariance of all chains
    in it then scale the other half and the draws that are kept.
    """
    model, votes = jax.tree.map(jnp.asarray, (model, votes))
    frame = Frame(pilot.place, _root(pilot.covariance))
    warmup, samples, target = schedule
    if warmup >= _WORTH_HALVING:
        warmup = warmup // 2
        states = [_begin(model, votes, frame, key, beliefs, warmup, target) for key in keys]
        explored = _advance(model, votes, frame, states, beliefs, warmup, target, warmup, tell)
        frame = _fitted_frame(frame, jax.tree.map(lambda x: x[:, warmup // 2 : warmup], explored.places))
    keys = [jax.random.fold_in(key, 2) for key in keys]
    states = [_begin(model, votes, frame, key, beliefs, warmup, target) for key in keys]
    drawn = _advance(model, votes, frame, states, beliefs, warmup, target, warmup + samples, tell)
    return jax.tree.map(lambda x: x[:, warmup : warmup + samples], drawn)


def _advance(
    model: Model,
    votes: VotesOnNodes,
    frame: Frame,
    states: list[Any],
    beliefs: Beliefs,
    warmup: int,
    target: float,
    count: int,
    tell: Tell,
) -> Chains:
    """At least `count` draws of every chain, in threads, stacked."""
    n_legs = -(-count // _LEG)

    def run(state: Any, done: int, legs: int) -> tuple[Any, list[Any]]:
        made = []
        with double_precision():  # threads have settings of their own
            for first in range(done, done + legs * _LEG, _LEG):
                state, leg = _leg(model, votes, frame, state, beliefs, warmup, target)
                made.append(jax.tree.map(np.asarray, leg))
                kept = made[-1].diverging[max(warmup - first, 0) : max(count - first, 0)]
                phase = "sampling" if first + _LEG > warmup else "warm-up"
                tell(phase, min(_LEG, max(count - first, 0)), int(kept.sum()))
        return state, made

    # The first leg of one chain compiles what all the others then share.
    ahead, first = run(states[0], 0, 1)
    with ThreadPoolExecutor(max_workers=min(len(states), os.cpu_count() or 1)) as pool:
        others = [pool.submit(run, ahead, _LEG, n_legs - 1)]
        others += [pool.submit(run, state, 0, n_legs) for state in states[1:]]
        made = [future.result()[1] for future in others]
    made[0] = first + made[0]
    chains = [jax.tree.map(lambda *x: np.concatenate(x), *one) for one in made]
    return jax.tree.map(lambda *x: np.stack(x), *chains)


def _fitted_frame(frame: Frame, places: Place) -> Frame:
    """The frame whose mean and covariance are those of draws, drawn a little towards the frame that was."""
    flat = np.asarray(jax.vmap(jax.vmap(lambda place: ravel_pytree(place)[0]))(places))
    flat = flat.reshape(-1, flat.shape[-1])
    back = ravel_pytree(frame.middle)[1]
    count, size = flat.shape
    sample_covariance = np.atleast_2d(np.cov(flat, rowvar=False))
    pull = size / (size + count)
    covariance = (1.0 - pull) * sample_covariance + pull * np.asarray(frame.root @ frame.root.T)
    return Frame(back(jnp.asarray(flat.mean(axis=0))), _root(jnp.asarray(covariance)))


def _kernels(model: Model, votes: VotesOnNodes, frame: Frame, beliefs: Beliefs) -> Any:
    return hmc(lambda z: energy(model, votes, beliefs, frame.place(z)), algo="NUTS")


def _first(init: Any, start: Any, key: Any, warmup: int, target: Any) -> Any:
    # The target is an array to compiled code, so that all targets share one program.
    return init(start, warmup, rng_key=key, step_size=0.5, target_accept_prob=target)


@partial(jax.jit, static_argnames="warmup")
def _begin(
    model: Model,
    votes: VotesOnNodes,
    frame: Frame,
    key: Any,
    beliefs: Beliefs,
    warmup: int,
    target: Any,
) -> Any:
    # A start one standard deviation off the middle, so that agreement of the chains means something.
    start = jax.random.normal(jax.random.fold_in(key, 1), frame.root.shape[:1], frame.root.dtype)
    return _first(_kernels(model, votes, frame, beliefs)[0], start, key, warmup, target)


@partial(jax.jit, static_argnames="warmup")
def _leg(
    model: Model,
    votes: VotesOnNodes,
    frame: Frame,
    state: Any,
    beliefs: Beliefs,
    warmup: int,
    target: Any,
) -> Any:
    init, sample = _kernels(model, votes, frame, beliefs)
    # NumPyro's kernel learns its schedule when a chain begins; the state made here is not used.
    _first(init, state.z, state.rng_key, warmup, target)

    def step(state: Any, _: Any) -> Any:
        state = sample(state)
        drawn = Chains(frame.place(state.z), state.diverging, state.num_steps, state.accept_prob)
        return state, drawn

    return jax.lax.scan(step, state, length=_LEG)


def _root(covariance: Any) -> Any:
    return jnp.linalg.cholesky(covariance + 1e-12 * jnp.diag(jnp.diag(covariance)))
