"""Every peer in one table: the same votes through emjax, plain EM, other packages, each with what it fits.

20 models, 2,000 users at two levels of attentiveness, 80,000 votes; all start from the same arrays. Plain
EM is the model of TwoPoint with Bradley-Terry written twice: in NumPy over users, and with one vmapped E-step
per user; its M-step uses SciPy for strengths and levels. Like emjax it starts from ordinary Bradley-Terry: at
equal strengths all levels are alike, and EM stays there. It is given the maximum and stops within 0.001 of
it; emjax has a bound of its own. Packages run in a process of their own, wherever they are installed.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, xlogy

import emjax
from benchmarks import against, em_peers, peers, record, simulated

L2 = emjax.BradleyTerry().l2
STILL = 1e-8  # an EM step that gains less ends the loop, whatever the maximum is
COLUMNS = (
    "package",
    "version",
    "what it fits",
    "seconds, first call",
    "seconds, again",
    "over those of emjax TwoPoint",
    "strengths: slope on the truth (correlation)",
    "users: correlation with true attentiveness",
    "log L lacks",
    "known defects",
)
# peer: its name, what it fits, its defects
PACKAGES = {
    "crowd_kit": (
        "crowd-kit NoisyBradleyTerry",
        "strengths, a skill and a bias per user",
        "the gradient of skills and biases keeps a user's last vote alone, one place off; loops over votes "
        "in Python",
    ),
    "evalica": (
        "evalica bradley_terry",
        "strengths; every vote counts the same",
        "no users, no intervals; stops after 100 iterations by default (here 10,000)",
    ),
    "arena_rank": (
        "arena-rank BradleyTerry",
        "strengths with intervals; every vote counts the same",
        "no users; asks for jax 0.8.1 and numpy 2.3.3 exactly; its import makes all of JAX 64-bit",
    ),
}
# mixture codes that do not fit this model: version considered, what they fit, why not
UNFIT = {
    "R's flexmix": (
        "",
        "mixtures of GLMs, coefficients free or shared between components",
        "R is not available; components that share strengths at different distances from ½ are no GLM: this "
        "takes an M-step of one's own",
    ),
    "StepMix": (
        "3.0.0, read",
        "latent classes, one free probability per class and column",
        "no strengths behind the probabilities; one 0 or 1 per user and pair, no counts",
    ),
    "scikit-learn": (
        "1.9.1, read",
        "mixtures of Gaussians",
        "no mixture for votes: Gaussian components alone",
    ),
}


def counted(votes, n_models):
    """(J, C, 2) votes of each user for either model of every pair, and these models, (C,) each."""
    user, a, b, won = votes
    first, second = np.triu_indices(n_models, 1)
    place = np.zeros((n_models, n_models), int)
    place[first, second] = np.arange(len(first))
    users, row = np.unique(user, return_inverse=True)
    counts = np.zeros((len(users), len(first), 2))
    pair, outcome = place[np.minimum(a, b), np.maximum(a, b)], np.where(won == (a < b), 0, 1)
    np.add.at(counts, (row, pair, outcome), 1.0)
    return counts, first, second


def numpy_e_step(counts, log_p, log_weights):
    """Log L, posteriors of every user, and the votes expected from each level."""
    joint = np.einsum("jco,cog->jg", counts, log_p) + log_weights
    evidence = logsumexp(joint, axis=1)
    posterior = np.exp(joint - evidence[:, None])
    return evidence.sum(), posterior, np.einsum("jco,jg->cog", counts, posterior)


@jax.jit
def vmapped_e_step(counts, log_p, log_weights):
    """The same; what a user adds is a function of one user."""

    def user(n):
        joint = jnp.einsum("co,cog->g", n, log_p) + log_weights
        evidence = jax.nn.logsumexp(joint)
        return evidence, jnp.exp(joint - evidence)

    evidence, posterior = jax.vmap(user)(counts)
    return evidence.sum(), posterior, jnp.einsum("jco,jg->cog", counts, posterior)


def m_step(votes, first, second, strengths, support, limits=(0.0, 1.0)):
    """Strengths and levels (within limits) where the expected log-likelihood less its ridge is highest."""
    k = len(strengths)

    def loss(x):
        s, eta = x[:k], x[k:]
        mu = expit(s[first] - s[second])
        centre = (mu - 0.5)[:, None]
        p = 0.5 + centre * eta
        value = np.sum(xlogy(votes[:, 0], p) + xlogy(votes[:, 1], 1.0 - p)) - 0.5 * L2 * s @ s
        slope = votes[:, 0] / p - votes[:, 1] / (1.0 - p)
        by_logit = mu * (1.0 - mu) * (slope @ eta)
        by_strength = np.bincount(first, by_logit, k) - np.bincount(second, by_logit, k) - L2 * s
        return -value, -np.append(by_strength, np.sum(slope * centre, axis=0))

    bounds = [(None, None)] * k + [limits] * len(support)
    start, exact = np.append(strengths, support), {"ftol": 1e-14, "gtol": 1e-6}
    x = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=exact).x
    return x[:k], x[k:]


def expected(e_step, counts, first, second, strengths, support, weight):
    """The objective (log L less the ridge), and what else the E-step gives."""
    log_p = em_peers.log_probabilities(support, expit(strengths[first] - strengths[second]), np)
    value, posterior, votes = (np.asarray(x) for x in e_step(counts, log_p, np.log([1.0 - weight, weight])))
    return float(value) - 0.5 * L2 * strengths @ strengths, posterior, votes


def plain_em(counts, first, second, e_step, goal):
    """EM until the objective is at `goal`, or hardly moves: strengths, users' means, objective, steps."""
    every_vote, attentive = np.asarray(counts.sum(axis=0))[:, :, None], np.ones(1)
    strengths, _ = m_step(every_vote, first, second, np.zeros(1 + second.max()), attentive, limits=(1.0, 1.0))
    support = np.array([em_peers.START["low"], em_peers.START["high"]])
    weight, before, steps = em_peers.START["weight"], -np.inf, 0
    while True:
        objective, posterior, votes = expected(e_step, counts, first, second, strengths, support, weight)
        if objective >= goal or objective - before < STILL or steps == em_peers.MOST:
            return strengths - strengths.mean(), posterior @ support, objective, steps
        weight = posterior[:, 1].mean()
        strengths, support = m_step(votes, first, second, strengths, support)
        before, steps = objective, steps + 1


def by_hand(votes, n_models, e_step, goal):
    """Plain EM from the arrays."""
    counts, first, second = counted(votes, n_models)
    with jax.enable_x64(True):
        given = jnp.asarray(counts) if e_step is vmapped_e_step else counts
        return plain_em(given, first, second, e_step, goal)


def ours(votes, n_models, prior, tol=em_peers.NEAR):
    """emjax from the arrays: strengths, users' means, and the fit."""
    user, a, b, won = votes
    models = against.names(n_models)
    prefs = emjax.Preferences.from_votes(user, np.column_stack([models[a], models[b]]), won)
    fit = emjax.fit_em(prefs, prior, tol=tol)
    where = {model: k for k, model in enumerate(fit.strength.models)}
    strengths = np.array(fit.strength.strengths)[[where[model] for model in models]]
    return strengths - strengths.mean(), fit.posterior(prefs).mean, fit


def objective_of(votes, n_models, found):
    """Objective of a result of emjax by the NumPy E-step, which is independent of emjax."""
    strengths, _, fit = found
    support = np.array([fit.prior.low, fit.prior.high])
    return expected(numpy_e_step, *counted(votes, n_models), strengths, support, float(fit.prior.weight))[0]


def timed(repeats, calls):
    """By name: the answer, seconds of the first call with what it compiles, and the median of those after.

    All take turns, so that other work on the machine falls on every one of them.
    """
    answers, seconds = {}, {name: [] for name in calls}
    for _ in range(1 + repeats):
        for name, (call, *args) in calls.items():
            begin = time.perf_counter()
            answers[name] = call(*args)
            seconds[name].append(time.perf_counter() - begin)
    return {
        name: (answers[name], {"first": taken[0], "again": float(np.median(taken[1:])), "all": taken})
        for name, taken in seconds.items()
    }


def scored(truth, eta, strengths, users):
    """How strengths and users compare with the truth; `users` is None for who has none."""
    known = None if users is None else against.known_users(users, eta)
    return {"strengths": simulated.score(strengths, truth), "users": known}


def here(out, votes, truth, eta, repeats):
    """Rows of what runs in this process, and the figure that the two maxima are one."""
    k, versions, warned = len(truth), out.versions, {}
    two, grid = emjax.TwoPoint(**em_peers.START), emjax.Grid()
    with record.counted_warnings(warned):
        best = objective_of(votes, k, ours(votes, k, two, tol=1e-9))
        jax.clear_caches()  # the search for the maximum must not compile anything for the first call
        goal = best - em_peers.NEAR
        found = timed(
            repeats,
            {
                "emjax TwoPoint": (ours, votes, k, two),
                "emjax Grid": (ours, votes, k, grid),
                "NumPy EM": (by_hand, votes, k, numpy_e_step, goal),
                "vmapped EM": (by_hand, votes, k, vmapped_e_step, goal),
            },
        )
    lacks = {name: best - found[name][0][2] for name in ("NumPy EM", "vmapped EM")}
    lacks["emjax TwoPoint"] = best - objective_of(votes, k, found["emjax TwoPoint"][0])
    *_, own, steps = by_hand(votes, k, numpy_e_step, np.inf)
    out.figure(
        f"NumPy EM left to run until a step gains less than {STILL:.0e}: its log L over emjax's maximum",
        own - best,
        f"{own - best:+.1e} after {steps} steps",
        "within 0.01",
        abs(own - best) <= 0.01,
    )
    of_plain = f"{found['NumPy EM'][0][3]} steps; given the maximum; users × pairs in memory, as doubles"
    compiles = "compiles in the first call of a size"
    said = {
        "emjax TwoPoint": (versions["emjax"], "two levels, strengths, users", compiles),
        "emjax Grid": (versions["emjax"], "any levels, strengths, users", compiles),
        "NumPy EM": (f"NumPy {versions['numpy']}", "as emjax TwoPoint", of_plain),
        "vmapped EM": (f"JAX {versions['jax']}", "as emjax TwoPoint", of_plain),
    }
    out.keep("warnings", warned)
    return [
        {
            "package": name,
            "version": said[name][0],
            "fits": said[name][1],
            "defects": said[name][2],
            "lacks": lacks.get(name),
            **seconds,
            **scored(truth, eta, *answer[:2]),
        }
        for name, (answer, seconds) in found.items()
    ]


def elsewhere(out, votes, truth, eta, pythons):
    """Rows of the packages, and of those that were not found or failed."""
    rows = []
    for peer, (package, fits, defects) in PACKAGES.items():
        row = {"package": package, "version": "", "fits": fits, "defects": defects}
        python = peers.found_in(pythons, peer)
        try:
            answer = python and peers.elsewhere(python, peer, *votes, len(truth), twice=True)
            why = None if answer else against.ABSENT
        except RuntimeError as error:
            answer, why = None, str(error).splitlines()[-1]
        if answer is None:
            rows.append(row | {"not_run": why})
            continue
        out.versions[answer.name] = row["version"] = answer.version
        row |= {"first": answer.seconds, "again": answer.seconds_again, "lacks": None}
        rows.append(row | scored(truth, eta, answer.strengths, answer.skills))
    return rows


def cells(row, mine):
    """One line of the table."""
    said = [row["package"], row["version"], row["fits"]]
    if "first" not in row:
        why = f"not run: {row['not_run']}" if "not_run" in row else "not run"
        return [*said, why, "", "", "", "", "", row["defects"]]
    strengths, users = row["strengths"], row["users"]
    return [
        *said,
        f"{row['first']:.3g}",
        f"{row['again']:.3g}",
        f"{row['again'] / mine:,.2f}×",
        f"{strengths['slope']:.3f} ({strengths['correlation']:.3f})",
        "none" if users is None else against.users_shown(users),
        "another likelihood" if row["lacks"] is None else f"{row['lacks']:.1e}",
        row["defects"],
    ]


def report_ahead(out, rows, which, how):
    """Seconds of the quickest that does the same work, over emjax's; the target is for compiled code."""
    same = [row for row in rows[1:] if row.get("users") and row["package"] != "emjax Grid"]
    times = {row["package"]: row[which] / rows[0][which] for row in same}
    nearest = min(times, key=times.__getitem__)
    out.figure(
        f"seconds of the {len(times)} others that fit users too, over those of emjax TwoPoint: {how}",
        times,
        f"{times[nearest]:,.2g} at least ({nearest})",
        "> 1" if which == "again" else "",
        times[nearest] > 1 if which == "again" else None,
    )


def main():
    """Read options, measure."""
    default = Path("build/peers/bin/python")
    given = record.options(
        "every_peer",
        __doc__,
        "python -m benchmarks.every_peer --python-peers build/peers/bin/python",
        (
            "--python-peers",
            {"type": Path, "default": default, "help": f"Python that has the packages (default: {default})"},
        ),
    )
    out = record.Record("every_peer", given)
    sizes, repeats = ((5, 100, 2000), 1) if given.smoke else ((20, 2000, 80_000), 5)
    *votes, truth, eta = simulated.arena(500, *sizes, simulated.careless(0.5, low=0.3, high=0.98))
    eta = eta[np.unique(votes[0])]
    # not resolved: an environment is known by the path its Python is called by
    pythons = (Path(given.python_peers).absolute(), Path(sys.executable))
    rows = here(out, votes, truth, eta, repeats) + elsewhere(out, votes, truth, eta, pythons)
    for which, how in (("again", "compiled"), ("first", "first call, compilation included")):
        report_ahead(out, rows, which, how)
    rows += [
        {"package": name, "version": version, "fits": fits, "defects": why}
        for name, (version, fits, why) in UNFIT.items()
    ]
    out.keep("rows", rows)
    title = f"{sizes[0]} models, {sizes[1]:,} users, {sizes[2]:,} votes"
    out.table(title, COLUMNS, [cells(row, rows[0]["again"]) for row in rows])
    out.write()


if __name__ == "__main__":
    main()
