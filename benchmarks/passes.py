"""Passes over the votes until log L is within 0.001 of its maximum, and the seconds they take.

For every prior and strength: plain EM, SQUAREM, L-BFGS on the marginal likelihood, and what `fit_em` does
(SQUAREM, then Newton; a convex solver for the weights of a Grid). A pass reads every vote once: an E-step
with its transposed product, or the information matrix. Under a Grid all but L-BFGS solve for the weights at
each pass, on likelihoods that are kept; those smaller rounds are counted apart.
"""

import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

import emjax
import emjax.infer.vote_sources
from benchmarks import record, simulated
from emjax.bayes.marginal_density import marginal_sum
from emjax.infer.coordinates import all_coordinates, with_all_coordinates
from emjax.infer.objective import evaluate
from emjax.infer.steps import log_p_table, m_step
from emjax.infer.votes_on_device import Data, HeldHere
from emjax.model.model import Model

NEAR = 1e-3
SMOKE = (("Beta", "known"), ("TwoPoint", "Bradley-Terry"), ("Grid(33)", "Bradley-Terry"))
MOST = 1_000
PRIORS = {
    "TwoPoint": emjax.TwoPoint(),
    "Points(3)": emjax.Points(3),
    "Beta": emjax.Beta(),
    "Grid(33)": emjax.Grid(33),
}


class Counted:
    """`Data` that counts passes; nothing is compiled as a whole, so that every pass goes through here."""

    total = rounds = 0

    n_rows = None

    def __init__(self, layout, index, n_users, n_outcomes, small=True):
        self.layout, self.index, self.n_users, self.n_outcomes = layout, index, n_users, n_outcomes
        self.small = small

    def sum(self, part, *args):
        """One pass."""
        Counted.total += 1
        return jax.jit(part)(self.layout, *args)

    def hold(self, make, *args):
        """One pass; what is held is gone over in rounds."""
        Counted.total += 1
        Counted.rounds -= 1  # the sum that ends an E-step belongs to its pass
        return CountedHeld(HeldHere(jax.jit(make)(self.layout, *args), self.layout))

    def loop(self, going, step, state):
        """A plain loop."""
        while going(state):
            state = step(state)
        return state

    def run(self, function, *args, **options):
        """A plain call."""
        return function(self, *args, **options)


class CountedHeld:
    """What is held, with its rounds counted."""

    def __init__(self, held):
        self.held = held

    def sum(self, part, *args):
        """One round."""
        Counted.rounds += 1
        return jax.jit(part)(self.held.value, self.held.layout, *args)


def ours(prefs, prior, strength):
    """Passes, rounds, seconds (compiled) and the fit of `fit_em`."""
    fit = emjax.fit_em(prefs, prior, strength=strength, tol=NEAR)
    begin = time.perf_counter()
    fit = emjax.fit_em(prefs, prior, strength=strength, tol=NEAR)
    seconds = time.perf_counter() - begin
    Counted.total = Counted.rounds = 0
    with mock.patch.object(emjax.infer.vote_sources, "Data", Counted):
        emjax.fit_em(prefs, prior, strength=strength, tol=NEAR)
    return {"passes": Counted.total, "rounds": Counted.rounds, "seconds": seconds, "reached": True}, fit


def set_out(prefs, prior, strength):
    """Votes on the device, and the model where `fit_em` starts."""
    from emjax.infer.em import starting_model

    strength = starting_model(prefs, prior, strength, None).strength
    with emjax.infer.vote_sources.placed_votes(prefs, prefs.table, prior, None) as votes_at:
        votes = votes_at(emjax.infer.vote_sources.design_index(strength, prefs.table))
    return votes, Model(prior, strength.bare(), emjax.AttentiveOrRandom())


@jax.jit
def em_to_goal(votes: Data, model, acceleration, goal):
    """EM steps until the objective is near its maximum."""

    def turn(state):
        model, memory, _, count = state
        here = evaluate(votes, model, jnp.asarray(1e-6))
        after = m_step(here.model, here.expected, votes.index)
        memory, model, _ = acceleration.follow(memory, model, after, here.value)
        return model, memory, here.value, count + 1

    start = model, acceleration.start(model), jnp.asarray(-jnp.inf), jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(lambda state: (state[2] < goal) & (state[3] < MOST), turn, start)[2:]


def by_em(votes, model, acceleration, goal):
    """Passes and seconds of EM, compiled."""
    run = em_to_goal.lower(votes, model, acceleration, goal).compile()
    begin = time.perf_counter()
    value, count = (np.asarray(x) for x in run(votes, model, acceleration, goal))
    return {
        "passes": int(count),
        "lacks": float(goal + NEAR - value),
        "seconds": time.perf_counter() - begin,
        "reached": bool(value >= goal),
    }


class Reached(Exception):
    """The objective is near enough to its maximum."""


def by_lbfgs(votes, model, goal):
    """Passes and seconds of SciPy's L-BFGS-B; a pass gives the value and the gradient."""

    @jax.jit
    def loss(x):
        def value(x):
            at = with_all_coordinates(model, x)
            found = marginal_sum(log_p_table(at, votes.index), at.prior.log_weights(), votes.layout)
            return -(found + at.strength.log_prior())

        return jax.value_and_grad(value)(x)

    passes, best = 0, np.inf

    def watched(x):
        nonlocal passes, best
        value, slope = (np.asarray(part) for part in loss(jnp.asarray(x)))
        passes, best = passes + 1, min(best, float(value))
        if -best >= goal:
            raise Reached
        return float(value), slope

    x = np.asarray(all_coordinates(model))
    low, high = model.prior.bounds()
    k, n = len(model.prior.support()), len(model.strength.coordinates())
    bounds = [*zip(low[:k], high[:k], strict=True), *[(-40, 40)] * n, *zip(low[k:], high[k:], strict=True)]
    loss(jnp.asarray(x))
    begin = time.perf_counter()
    try:
        minimize(
            watched,
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": MOST, "maxfun": MOST, "ftol": 0, "gtol": 0},
        )
        reached = False
    except Reached:
        reached = True
    return {
        "passes": passes,
        "lacks": float(goal + NEAR + best),
        "seconds": time.perf_counter() - begin,
        "reached": reached,
    }


def shown(found):
    """Passes and seconds as a cell of the table."""
    rounds = f" + {found['rounds']:,} rounds" if found.get("rounds") else ""
    if found["reached"]:
        return f"{found['passes']:,}{rounds}, {found['seconds']:.2g} s"
    return f"not in {found['passes']:,} ({found['seconds']:.2g} s): gap {found['lacks']:.2g}"


def compare(out, m, n_votes):
    """The table, over priors and strengths."""
    rng = np.random.default_rng(6)
    eta = rng.beta(3.0, 5.0, m)
    totals = np.maximum(rng.poisson(20, m), 1)
    one = emjax.Preferences.from_counts(*simulated.one_comparison(6, m, totals, 0.74, eta))
    user, a, b, won, *_ = simulated.arena(6, 20, m, n_votes, lambda rng, m: rng.beta(3.0, 5.0, m))
    names = np.array([f"m{k:02d}" for k in range(20)], dtype=object)
    many = emjax.Preferences.from_votes(user, np.column_stack([names[a], names[b]]), won)
    rows = []
    for title, prefs, strength in (
        ("known", one, emjax.Known(0.74)),
        ("Shared", one, emjax.Shared()),
        ("Bradley-Terry", many, emjax.BradleyTerry()),
        ("PerPair", many, emjax.PerPair()),
    ):
        for name, prior in PRIORS.items():
            if out.given.smoke and (name, title) not in SMOKE:
                continue
            with record.counted_warnings({}):
                mine, fit = ours(prefs, prior, strength)
                best = emjax.fit_em(prefs, prior, strength=strength, tol=1e-8)
            with jax.enable_x64(True):
                votes, model = set_out(prefs, prior, strength)
                goal = best.trace[-1] - NEAR
                found = {
                    "plain EM": by_em(votes, model, emjax.NoAcceleration(), goal),
                    "SQUAREM": by_em(votes, model, emjax.Squarem(), goal),
                    "L-BFGS": None if name.startswith("Grid") else by_lbfgs(votes, model, goal),
                }
            mine["lacks"] = float(best.trace[-1] - fit.trace[-1])
            found["fit_em"] = mine
            out.keep(f"{name} × {title}", found)
            rows.append([f"{name} × {title}", *("–" if x is None else shown(x) for x in found.values())])
            print("   ", *rows[-1], sep=" | ", flush=True)
    out.table(
        f"Passes and seconds (compiled) until log L is within {NEAR:g} of its maximum: {m:,} users; one "
        f"comparison with about 20 votes each, or 20 models with {n_votes:,} votes in all",
        ["prior × strength", "plain EM", "SQUAREM", "L-BFGS", "fit_em: SQUAREM, Newton, convex solver"],
        rows,
    )


def large(out, m, n_votes):
    """Bradley-Terry under a Grid, two million votes."""
    user, a, b, won, *_ = simulated.arena(7, 20, m, n_votes, simulated.careless(0.3))
    names = np.array([f"m{k:02d}" for k in range(20)], dtype=object)
    prefs = emjax.Preferences.from_votes(user, np.column_stack([names[a], names[b]]), won)
    with record.counted_warnings({}):
        begin = time.perf_counter()
        emjax.fit_em(prefs, emjax.Grid())
        first = time.perf_counter() - begin
        found, fit = ours(prefs, emjax.Grid(), None)
    out.figure(
        f"Bradley-Terry × Grid(64), 20 models, {m:,} users, {n_votes:,} votes: from votes to converged fit",
        found["seconds"],
        f"{found['seconds']:.1f} s ({first:.1f} s with compilation), {found['passes']} passes and "
        f"{found['rounds']} rounds of the convex solver over kept likelihoods; gap at most {fit.gap:.1e}",
        "≤ 10 s, ≤ 25 passes",
        found["seconds"] <= 10 and found["passes"] <= 25,
    )
    out.keep("large", found)


def main():
    """Read options, measure."""
    given = record.options("passes", __doc__, "python -m benchmarks.passes")
    out = record.Record("passes", given)
    large(out, *((2_000, 40_000) if given.smoke else (50_000, 2_000_000)))
    compare(out, *((200, 2_000) if given.smoke else (2_000, 40_000)))
    out.write()


if __name__ == "__main__":
    main()
