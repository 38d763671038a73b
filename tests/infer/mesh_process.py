"""A program for test_mesh: fits on a mesh of this process's devices, or of several processes'.

Arguments: number of processes, number of this one, port, number of the one that is to die. Prints the fits as
JSON.
"""

import json
import os
import signal
import sys

import jax
import numpy as np
from jax.sharding import AxisType

import emjax

MODELS = {"ant": 0.9, "bee": 0.3, "cat": 0.0, "dog": -0.4, "eel": -0.8}


def votes_on_answers(rng: np.random.Generator) -> tuple[emjax.Preferences, list[tuple[str, str]], np.ndarray]:
    """Votes of 211 users on 90 pairs of answers of four models, six users per pair; the answers' scores."""
    models = np.array([rng.permutation(list(MODELS)[:4])[:2] for _ in range(90)])
    scores = rng.choice([-1.5, 1.5], 90)[:, None] * np.array([1.0, -1.0])
    item = np.repeat(np.arange(90), 6)
    user = rng.integers(0, 211, len(item))
    attentive = rng.uniform(size=len(item)) < np.where(user % 3, 0.9, 0.1)
    chance = np.where(attentive, 1.0 / (1.0 + np.exp(scores[item, 1] - scores[item, 0])), 0.5)
    won = (rng.uniform(size=len(item)) < chance).astype(int)
    prompts = np.array([f"prompt {i}" for i in range(90)])
    votes = emjax.Preferences.from_votes(user, models[item], won, context=prompts[item])
    answers = [
        (str(prompt), str(model)) for prompt, pair in zip(prompts, models, strict=True) for model in pair
    ]
    return votes, answers, scores.ravel()


def main() -> None:
    """Fit the same votes on one device and spread over the mesh."""
    count, own, port, dying = (int(x) for x in sys.argv[1:5])
    if count > 1:
        at = f"127.0.0.1:{port}"
        jax.distributed.initialize(at, num_processes=count, process_id=own, heartbeat_timeout_seconds=10)
    if own == dying:
        jax.devices()
        os.kill(os.getpid(), signal.SIGKILL)
    mesh = jax.make_mesh((len(jax.devices()),), ("users",), axis_types=(AxisType.Auto,))
    prior = emjax.TwoPoint(0.2, 0.9, 0.6)
    arena = emjax.simulate(3, n_users=700, votes_per_user=12, prior=prior, strengths=MODELS).preferences
    one = emjax.simulate(4, n_users=700, votes_per_user=12, prior=prior).preferences
    rng = np.random.default_rng(0)
    shards = [
        emjax.Preferences.from_counts(rng.binomial(9, 0.6, 50), np.full(50, 9), users=i * 50 + np.arange(50))
        for i in range(5)
    ]
    together = shards[0] + shards[1] + shards[2] + shards[3] + shards[4]
    items, answers, scores = votes_on_answers(rng)
    features = np.stack([scores, rng.normal(size=len(scores))], axis=1)
    found = {}
    for name, votes, spread, start, strength in (
        ("arena", arena, arena, emjax.TwoPoint(), None),
        ("arena, Grid", arena, arena, emjax.Grid(9), None),
        ("one comparison", one, one, emjax.Beta(), emjax.Known(0.74)),
        ("shards", together, shards, emjax.TwoPoint(), emjax.Known(0.74)),
        ("items", items, items, emjax.TwoPoint(), emjax.PerItem()),
        ("items, Grid", items, items, emjax.Grid(9), emjax.PerItem()),
        ("scores", items, items, emjax.TwoPoint(), emjax.MonotoneReward(answers, scores)),
        ("features", items, items, emjax.TwoPoint(), emjax.RewardNetwork(answers, features, hidden=())),
    ):
        here = emjax.fit_em(votes, start, strength=strength, tol=1e-7)
        there = emjax.fit_em(spread, start, strength=strength, tol=1e-7, mesh=mesh)
        found[name] = [
            {
                "log_likelihood": fit.log_likelihood,
                "estimate": fit.standard_errors().estimate.tolist(),
                "std_err": fit.standard_errors().std_err.tolist(),
                "outcome": fit.outcome,
                "message": fit.message,
            }
            for fit in (here, there)
        ]
    print(json.dumps({"devices": len(jax.devices()), "fits": found}))


if __name__ == "__main__":
    main()
