"""One EM iteration, from a thousand users to ten million: seconds, votes per second, share of the floor.

The floor of an iteration is reading the votes once in either direction, as stored in memory, at the speed
at which this machine copies. Whole fits too, and the kernel in the size it was designed for: 100,000 users
with 40 votes on 190 pairs, 32 nodes.
"""

import os
import time

import numpy as np

from benchmarks import record

PLATFORMS = ("cpu", "gpu", "tpu")
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
MODELS = 20
TOL = 1e-3
ROUNDS = 10  # EM iterations are timed together, in a loop that is compiled as a whole, as in a fit


def cells_of(seed, m, each, n_models, chunk=500_000):
    """Votes of m users, `each` on random pairs of models, as cells; 60 % of the users are attentive."""
    from emjax.data.response_patterns import Cells

    rng = np.random.default_rng(seed)
    strengths = np.linspace(1.0, -1.0, n_models)
    first, second = np.triu_indices(n_models, 1)
    p = 1.0 / (1.0 + np.exp(strengths[second] - strengths[first]))
    sizes, comparisons, counts = [], [], []
    for start in range(0, m, chunk):
        n = min(chunk, m - start)
        pair = rng.integers(len(p), size=(n, each))
        eta = np.where(rng.random(n) < 0.6, 0.9, 0.1)[:, None]
        won = rng.random((n, each)) < eta * p[pair] + (1.0 - eta) / 2
        key = np.sort((np.arange(n)[:, None] * len(p) + pair) * 2 + won, axis=1).ravel()
        fresh = np.append(True, key[1:] // 2 != key[:-1] // 2)
        begins = np.flatnonzero(fresh)
        wins = np.add.reduceat(key & 1, begins).astype(float)
        votes = np.diff(np.append(begins, key.size))
        owner, pairs = np.divmod(key[begins] // 2, len(p))
        sizes.append(np.bincount(owner, minlength=n))
        comparisons.append(pairs)
        counts.append(np.column_stack([wins, votes - wins]))
    indptr = np.append(0, np.cumsum(np.concatenate(sizes)))
    several = np.concatenate(comparisons), np.concatenate(counts)
    return Cells(indptr, *several, np.ones(m), np.arange(m), len(p))


def counted(cells, n_models):
    """Cells with the totals that a fit needs."""
    from emjax.data.cell_counts import CellCounts
    from emjax.data.comparison_table import ComparisonTable

    names = np.array([f"m{k:02d}" for k in range(n_models)], dtype=object)
    first, second = np.triu_indices(n_models, 1)
    sides = [np.bincount(cells.comparison, cells.counts[:, side], cells.n_comparisons) for side in (0, 1)]
    wins = np.column_stack(sides)
    totals = ComparisonTable(
        comparisons=np.column_stack([names[first], names[second]]),
        shown=np.column_stack([wins.sum(axis=1), np.zeros(len(wins))]),
        votes=wins,
        n_users=int(cells.multiplicity.sum()),
        most_votes=float(np.add.reduceat(cells.counts.sum(axis=1), cells.indptr[:-1]).max()),
    )
    return CellCounts(totals, cells)


def copying(size=1 << 25):
    """Bytes that the device reads per second while it copies: the floor's speed."""
    import jax
    import jax.numpy as jnp

    source, one = jnp.arange(size, dtype=jnp.float64), jnp.asarray(1.0)
    # In a loop, as iterations are: new memory for each result would cost more than the copy.
    copy = jax.jit(lambda x, one: jax.lax.fori_loop(0, ROUNDS, lambda _, x: x * one + 1.0, x))
    copy(source, one).block_until_ready()
    return ROUNDS * source.nbytes / best_of(lambda: copy(source, one).block_until_ready(), 5)


def best_of(call, repeats):
    """Seconds of the fastest call."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best


def iteration(votes, model, repeats):
    """Compilation, and then the best, of one EM step and of its parts; and the memory it takes."""
    import jax
    import jax.numpy as jnp

    from emjax.infer.coordinates import all_coordinates, with_all_coordinates
    from emjax.infer.objective import evaluate
    from emjax.infer.steps import e_step, m_step

    def em_steps(votes, model):
        def step(_, model):
            here = evaluate(votes, model, jnp.asarray(1e-6))
            return m_step(here.model, here.expected, votes.index)

        return jax.lax.fori_loop(0, ROUNDS, step, model)

    def e_steps(votes, model):
        def again(_, x):
            # Everything changes a little and is used, or XLA would take parts of the E-step out of the loop.
            found = e_step(votes, with_all_coordinates(model, x))
            return x * (1.0 + 1e-15 * (found.log_likelihood + found.votes.sum() + found.mass.sum()))

        return jax.lax.fori_loop(0, ROUNDS, again, all_coordinates(model))

    found = {}
    for name, function, args in (("em step", em_steps, (model,)), ("e step", e_steps, (model,))):
        jitted = jax.jit(function)
        begin = time.perf_counter()
        compiled = jitted.lower(votes, *args).compile()
        found[f"{name}: compile"] = time.perf_counter() - begin
        jax.block_until_ready(compiled(votes, *args))
        spent = best_of(lambda run=compiled, with_=args: jax.block_until_ready(run(votes, *with_)), repeats)
        found[name] = spent / ROUNDS
        memory = compiled.memory_analysis()
        found[f"{name}: scratch bytes"] = int(getattr(memory, "temp_size_in_bytes", 0))
    found["bytes of votes"] = sum(x.nbytes for x in jax.tree.leaves(votes.layout))
    memory_stats = jax.devices()[0].memory_stats() or {}
    found["peak device bytes"] = memory_stats.get("peak_bytes_in_use")
    return found


def on_device(cells, n_models, prior):
    """Votes and model as `fit_em` passes them to the kernels."""
    import jax
    import jax.numpy as jnp

    import emjax
    from emjax.infer.count_layout import lay_out
    from emjax.infer.vote_sources import design_index
    from emjax.infer.votes_on_device import Data
    from emjax.model.model import Model

    totals = counted(cells, n_models).table
    strength = emjax.BradleyTerry().start(totals) if n_models > 2 else emjax.Known(0.74).start(totals)
    layout, _ = lay_out(cells)
    votes = Data(layout, jax.device_put(design_index(strength, totals)), jnp.asarray(float(totals.n_users)))
    return votes, Model(prior, strength.bare(), emjax.AttentiveOrRandom())


def kernel(out, speed, m, each, repeats):
    """The size that the kernel was designed for."""
    import emjax

    prior = emjax.Points(32, np.linspace(0.01, 0.99, 32))
    votes, model = on_device(cells_of(1, m, each, MODELS), MODELS, prior)
    found = iteration(votes, model, repeats)
    rate = m * each / found["em step"]
    floor = found["bytes of votes"] / speed
    out.figure(
        f"{m:,} users × {each} votes, {MODELS * (MODELS - 1) // 2} pairs, 32 nodes: one EM iteration",
        found["em step"],
        f"{found['em step']:.3f} s, {rate / 1e6:.0f} million votes per second; E-step with its transposed "
        f"product {found['e step']:.3f} s; floor {floor:.4f} s",
        "≤ 0.06 s",
        found["em step"] <= 0.06,
    )
    out.keep("kernel", found | {"votes": m * each})


def ladder(out, speed, sizes, repeats):
    """One EM iteration over sizes, for one comparison and for many."""
    import emjax
    from emjax.data.response_patterns import distinct

    rows, rates = [], {}
    for many in (False, True):
        for m in sizes:
            begin = time.perf_counter()
            if many:
                cells, models, each = cells_of(2, m, 10, MODELS), MODELS, 10
            else:
                rng = np.random.default_rng(2)
                eta = np.where(rng.random(m) < 0.6, 0.9, 0.1)
                totals = np.full(m, 10)
                cells = distinct(emjax.Preferences.from_counts(rng.binomial(10, 0.5 + 0.24 * eta), totals))
                models, each = 2, 10
            drawn = time.perf_counter() - begin
            votes, model = on_device(cells, models, emjax.TwoPoint())
            found = iteration(votes, model, repeats)
            share = found["bytes of votes"] / speed / found["em step"]
            rate = m * each / found["em step"]
            rates[many, m] = rate
            out.keep(f"{'many' if many else 'one'}, {m}", found | {"drawing": drawn, "votes": m * each})
            peak = found["peak device bytes"] or found["bytes of votes"] + found["em step: scratch bytes"]
            rows.append(
                [
                    f"{m:,}",
                    f"{m * each:,}",
                    f"{models * (models - 1) // 2}",
                    f"{cells.n_cells:,}",
                    f"{found['em step: compile']:.2f}",
                    f"{found['em step']:.2g}",
                    f"{rate / 1e6:,.0f}",
                    f"{share:.0%}",
                    f"{peak / 2**20:,.1f}",
                ]
            )
            print("   ", *rows[-1], flush=True)
    out.table(
        "One EM iteration, TwoPoint prior, ten votes per user",
        [
            "users",
            "votes",
            "pairs",
            "cells",
            "compile, s",
            "iteration, s",
            "million votes/s",
            "of the floor's speed",
            "peak, MiB",
        ],
        rows,
    )
    large = [m for m in sizes if m >= 100_000]
    if large:
        speeds = [rates[True, m] for m in large]
        out.figure(
            f"votes per second, many comparisons, {large[0] * 10:,} to {large[-1] * 10:,} votes",
            speeds,
            " → ".join(f"{x / 1e6:.0f} million" for x in speeds),
            "linear: ≥ 65 million throughout",
            min(speeds) >= 65e6,
        )


def whole_fits(out, sizes, platform):
    """Fits to convergence, the second of two of one size."""
    import emjax

    for m in sizes:
        took = []
        for seed in (3, 4):
            source = counted(cells_of(seed, m, 10, MODELS), MODELS)
            begin = time.perf_counter()
            fit = emjax.fit_em(source, emjax.TwoPoint(), tol=TOL)
            took.append(time.perf_counter() - begin)
        out.figure(
            f"{m:,} users × 10 votes over {MODELS} models, TwoPoint, on one {platform}: cells "
            f"to converged fit",
            took,
            f"{took[1]:.2f} s ({took[0]:.2f} s with compilation; {fit.em_steps} EM steps, "
            f"{fit.newton_steps} Newton steps; gap at most {fit.gap:.1e})",
        )


def main():
    """Read options, choose the platform before JAX starts, measure."""
    given = record.options(
        "em_scale",
        __doc__,
        "python -m benchmarks.em_scale --platform cpu",
        ("--platform", {"choices": PLATFORMS, "default": "cpu", "help": "where to run (default: cpu)"}),
        ("--largest", {"type": int, "default": SIZES[-1], "help": "most users (default: ten million)"}),
    )
    os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(given.platform, given.platform)
    if given.platform != "cpu" and given.json.name == "em_scale.json":
        given.json = given.json.with_name(f"em_scale_{given.platform}.json")
    import jax

    out = record.Record("em_scale", given)
    try:
        device = jax.devices()[0]
    except RuntimeError as error:
        raise SystemExit(f"no {given.platform} is to be found here: {str(error).splitlines()[0]}") from None
    out.keep("device", {"kind": device.device_kind, "count": jax.device_count()})
    sizes = [m for m in SIZES if m <= (10_000 if given.smoke else given.largest)]
    with jax.enable_x64(True):
        speed = copying(1 << (20 if given.smoke else 25))
        out.figure("copying", speed, f"{speed / 1e9:.1f} GB read per second, while as much is written")
        kernel(out, speed, *((2_000, 40, 2) if given.smoke else (100_000, 40, 15)))
        ladder(out, speed, sizes, 2 if given.smoke else 7)
    whole_fits(out, [sizes[-1]] if given.smoke else [m for m in sizes if m >= 100_000][:2], given.platform)
    others = [platform for platform in PLATFORMS if platform != given.platform]
    for platform in others if given.platform == "cpu" else ():
        out.not_run(
            f"10,000,000 users × 10 votes over {MODELS} models, TwoPoint, on one {platform}: cells to "
            f"converged fit",
            f"no {platform} is available; python -m benchmarks.em_scale --platform {platform}",
            "≤ 1 s after compilation, ≥ 50 % of the floor's speed" if platform == "gpu" else "",
        )
    out.write()


if __name__ == "__main__":
    main()
