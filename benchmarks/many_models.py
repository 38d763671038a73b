"""What a fit costs as models and comparisons become many: seconds, memory, programs, in a process of its own.

Simulated votes of users with 17 votes each: models at 60 votes each under BradleyTerry, pairs at four votes
each under PerPair; and a crowd's shape, 3,800 users and 65,000 votes on 16,800 pairs of 1,052
models. Each with a Grid prior. "Again" is the same fit once more, with everything compiled.
`--before FOLDER` measures another checkout of emjax in turn with this one, on the same machine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import record

VOTES_PER_USER = 17
CROWD = {"users": 3_800, "models": 1_052, "pairs": 16_800}
MODELS = (20, 100, 300, 1_000, 3_000)
PAIRS = (190, 2_000, 17_000)
TARGETS = {"BradleyTerry": 3.0, "PerPair": 5.0, "PerItem": 10.0}
MEMORY = 16  # GiB of address space that a fit may take


def drawn(users, models, pairs, votes_per_user=VOTES_PER_USER, seed=0):
    """A data frame of votes on random pairs of models; strengths have sd 1, 60 % of users an η of 0.9."""
    import pandas

    rng = np.random.default_rng(seed)
    strengths = rng.normal(size=models)
    ring = np.stack([np.arange(models), (np.arange(models) + 1) % models], axis=1)  # so that all connect
    others = rng.integers(models, size=(3 * pairs, 2))
    every = np.sort(np.concatenate([ring, others[others[:, 0] != others[:, 1]]]), axis=1)
    _, first = np.unique(every, axis=0, return_index=True)
    chosen = every[np.sort(first)[:pairs]]
    user = np.repeat(np.arange(users), votes_per_user)
    pair = np.where(
        np.arange(len(user)) < len(chosen), np.arange(len(user)), rng.integers(len(chosen), size=len(user))
    )
    a, b = chosen[rng.permutation(pair)].T
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)[user]
    won = rng.random(len(user)) < 0.5 + eta * (1.0 / (1.0 + np.exp(strengths[b] - strengths[a])) - 0.5)
    columns = {"user": user, "model_a": a, "model_b": b, "winner": np.where(won, "model_a", "model_b")}
    named = {f"model_{side}": [f"m{k:04d}" for k in columns[f"model_{side}"]] for side in "ab"}
    return pandas.DataFrame(columns | named)


def one(strength, users, models, pairs):
    """Fit twice in this process: seconds, programs, peak memory, and what was found."""
    import resource
    import warnings

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY << 30, MEMORY << 30))
    import jax

    import emjax

    heard = {"programs": 0, "compile": 0.0}

    def count(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            heard["programs"] += 1
            heard["compile"] += seconds

    jax.monitoring.register_event_duration_secs_listener(count)
    warnings.simplefilter("ignore")
    votes = emjax.read_votes(
        drawn(users, models, pairs), user="user", model_a="model_a", model_b="model_b", winner="winner"
    )
    took = []
    for _ in range(2):
        begin = time.perf_counter()
        fit = emjax.fit_em(votes, emjax.Grid(), strength=getattr(emjax, strength)())
        took.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = {name: getattr(fit, name) for name in ("log_likelihood", "em_steps", "newton_steps", "gap")}
    print(json.dumps(heard | found | {"first": took[0], "again": took[1], "peak_gib": peak}))


def measured(checkout, patience, strength, users, models, pairs):
    """What `one` prints, in a process of a checkout; or why there is nothing."""
    given = {name: text for name, text in os.environ.items() if not name.startswith(("JAX_", "EMJAX_"))}
    given["PYTHONPATH"] = f"{checkout}{os.pathsep}{record.ROOT}"
    numbers = [str(x) for x in (users, models, pairs)]
    command = [sys.executable, str(Path(__file__).resolve()), "--one", strength, *numbers]
    try:
        with tempfile.TemporaryDirectory() as elsewhere:
            done = subprocess.run(
                command, env=given, cwd=elsewhere, capture_output=True, text=True, timeout=patience
            )
    except subprocess.TimeoutExpired:
        return f"two fits not done in {patience:g} s"
    if not done.returncode:
        return json.loads(done.stdout.strip().splitlines()[-1])
    if any(
        word in done.stderr for word in ("RESOURCE_EXHAUSTED", "MemoryError", "out of memory", "bad_alloc")
    ):
        return f"more than {MEMORY} GiB"
    if done.returncode < 0:
        return f"more than {MEMORY} GiB (signal {-done.returncode})"
    raise SystemExit(f"{strength} with {numbers} failed: {done.stderr.strip().splitlines()[-1]}")


def as_command(checkout, patience, users, models, pairs):
    """Seconds of `emjax fit` on a file of such votes, with nothing compiled before."""
    with tempfile.TemporaryDirectory() as elsewhere:
        drawn(users, models, pairs).to_csv(f"{elsewhere}/votes.csv", index=False)
        given = os.environ | {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": f"{elsewhere}/cache"}
        command = [sys.executable, "-m", "emjax", "fit", "votes.csv", "--prior", "grid", "--out", "out"]
        begin = time.perf_counter()
        subprocess.run(
            command, env=given, cwd=elsewhere, capture_output=True, text=True, timeout=patience, check=True
        )
        return time.perf_counter() - begin


def shapes(given):
    """(name, strength, users, models, pairs) of everything that is measured."""
    crowd = CROWD["users"], CROWD["models"], CROWD["pairs"]
    if given.smoke:
        crowd = 60, 20, 60
    yield "crowd", "BradleyTerry", *crowd
    yield "crowd", "PerPair", *crowd
    yield "crowd", "PerItem", *crowd
    for models in (20,) if given.smoke else MODELS:
        users = -(-models * 60 // (2 * VOTES_PER_USER))
        yield (
            f"{models:,} models",
            "BradleyTerry",
            users,
            models,
            min(15 * models, models * (models - 1) // 2),
        )
    for pairs in (40,) if given.smoke else PAIRS:
        models = int(np.ceil((2 * pairs) ** 0.5)) + 1
        yield f"{pairs:,} pairs", "PerPair", max(-(-4 * pairs // VOTES_PER_USER), 60), models, pairs


def figures(out, strength, found):
    """The rows with targets: seconds and memory of a crowd's shape."""
    seconds, target = f"a crowd's shape under {strength}, compiled", f"≤ {TARGETS[strength]:g} s"
    if isinstance(found, str):
        out.figure(seconds, None, found, target, False)
        return
    again, peak = found["again"], found["peak_gib"]
    out.figure(seconds, again, f"{again:.1f} s, gap {found['gap']:.1e}", target, again <= TARGETS[strength])
    what = f"a crowd's shape under {strength}, peak memory of the process"
    out.figure(what, peak, f"{peak:.2f} GiB", "≤ 0.93 GiB (1 GB)", peak <= 0.93)


def main():
    """Read options, measure."""
    given = record.options(
        "many_models",
        __doc__,
        "python -m benchmarks.many_models --before ../emjax-0.1",
        ("--before", {"type": Path, "help": "another checkout of emjax, measured in turn with this one"}),
        (
            "--patience",
            {"type": float, "default": 600, "help": "seconds to wait for two fits (default: 600)"},
        ),
    )
    out = record.Record("many_models", given)
    checkouts = {"now": record.ROOT} | ({"before": given.before.resolve()} if given.before else {})
    rows = []
    for name, strength, users, models, pairs in shapes(given):
        for which, checkout in checkouts.items():
            found = measured(checkout, given.patience, strength, users, models, pairs)
            out.keep(f"{name}, {strength}, {which}", found)
            size = [name, strength, f"{users * VOTES_PER_USER:,}", which]
            if isinstance(found, str):
                rows.append([*size, found, "", "", "", ""])
            else:
                steps = f"{found['em_steps']} + {found['newton_steps']}"
                rows.append(
                    [
                        *size,
                        f"{found['first']:.1f}",
                        f"{found['again']:.2f}",
                        f"{found['peak_gib']:.2f}",
                        f"{found['programs']}",
                        steps,
                    ]
                )
            print("   ", *rows[-1], flush=True)
            if name == "crowd" and which == "now":
                figures(out, strength, found)
            if name == "crowd" and strength == "BradleyTerry":
                seconds = as_command(checkout, given.patience, users, models, pairs)
                is_now = which == "now"
                out.figure(
                    f"`emjax fit` of a crowd's shape, nothing compiled before, {which}",
                    seconds,
                    f"{seconds:.1f} s",
                    "≤ 8 s" if is_now else "",
                    seconds <= 8.0 if is_now else None,
                )
    columns = ["votes on", "strength", "votes", "version", "first fit, s", "again, s", "peak, GiB"]
    out.table("Fits of many strengths, Grid prior", [*columns, "programs", "EM + Newton steps"], rows)
    out.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
