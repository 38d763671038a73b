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
    found = {}
    for name, votes, spread, start in (
        ("arena", arena, arena, emjax.TwoPoint()),
        ("arena, Grid", arena, arena, emjax.Grid(9)),
        ("one comparison", one, one, emjax.Beta()),
        ("shards", together, shards, emjax.TwoPoint()),
    ):
        strength = None if votes is arena else emjax.Known(0.74)
        here = emjax.fit_em(votes, start, strength=strength, tol=1e-7)
        there = emjax.fit_em(spread, start, strength=strength, tol=1e-7, mesh=mesh)
        found[name] = [
            {
                "log_likelihood": fit.log_likelihood,
                "estimate": fit.standard_errors().estimate.tolist(),
                "std_err": fit.standard_errors().std_err.tolist(),
                "message": fit.message,
            }
            for fit in (here, there)
        ]
    print(json.dumps({"devices": len(jax.devices()), "fits": found}))


if __name__ == "__main__":
    main()
