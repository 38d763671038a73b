"""A leaderboard when some users click at random: emjax beside ordinary Bradley-Terry, and beside crowd-kit.

Part one: 50 models, 50,000 users of whom 30 % are careless, 2,000,000 votes, ten data sets; emjax, arena-rank
and evalica get the same votes. Part two: 20 models, 2,000 users at two levels of attentiveness, 80,000 votes;
how well and how fast emjax and crowd-kit's NoisyBradleyTerry recover attentiveness. Votes are drawn without
emjax.

Each peer runs in a process of its own. arena-rank asks for another JAX than emjax, so it needs an environment
of its own too; peers that are missing here are searched for there. What is found nowhere is reported as
not run.
"""

import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import emjax
from benchmarks import peers, record, simulated

PEERS = {"arena_rank": "arena-rank", "evalica": "evalica", "crowd_kit": "crowd-kit"}
ABSENT = "not installed"


def names(n_models):
    return np.array([f"m{k:02d}" for k in range(n_models)], dtype=object)


def fit(votes, n_models, warned):
    """emjax from votes as arrays, by default settings: the answer, and the seconds of each part."""
    user, a, b, won = votes
    models = names(n_models)
    with record.counted_warnings(warned):
        start = time.perf_counter()
        prefs = emjax.Preferences.from_votes(user, np.column_stack([models[a], models[b]]), won)
        counted = time.perf_counter()
        found = emjax.fit_em(prefs, emjax.Grid())
        se = found.standard_errors()
        mine = [se[f"strength of {model}"] for model in models]
        end = time.perf_counter()
        # the same again, now that everything is compiled for these sizes
        emjax.fit_em(prefs, emjax.Grid()).standard_errors()
        again = time.perf_counter()
    strengths, errors = (np.array([getattr(x, what) for x in mine]) for what in ("estimate", "std_err"))
    spent = {
        "from_votes": counted - start,
        "fit": end - counted,
        "total": end - start,
        "fit again": again - end,
    }
    return found, prefs, strengths, errors, spent


def row(name, seed, truth, strengths, std_err, spent):
    """Scores of one package on one data set, with what it took."""
    return {"package": name, "seed": seed, **simulated.score(strengths, truth, std_err), **spent}


def leaderboards(out, pythons, smoke):
    """Slope, coverage and seconds of every package over the same data sets."""
    sizes = (10, 300, 6000) if smoke else (50, 50_000, 2_000_000)
    rows, warned, reasons = [], {}, {}
    for seed in range(1 if smoke else 10):
        *votes, truth, _ = simulated.arena(seed, *sizes, simulated.careless(0.3))
        found, _, strengths, errors, spent = fit(votes, sizes[0], warned)
        spent |= {
            "em_steps": found.em_steps,
            "newton_steps": found.newton_steps,
            "converged": found.converged,
        }
        rows.append(row("emjax", seed, truth, strengths, errors, spent))
        for peer in ("arena_rank", "evalica"):
            python = pythons[peer]
            if python is None:
                reasons[peer] = ABSENT
                continue
            try:
                answer = peers.elsewhere(python, peer, *votes, sizes[0], twice=True)
            except RuntimeError as error:
                reasons[peer] = str(error).splitlines()[-1]
                continue
            spent = {"total": answer.seconds, "again": answer.seconds_again}
            rows.append(row(PEERS[peer], seed, truth, answer.strengths, answer.std_err, spent))
            out.versions[PEERS[peer]] = answer.version
        print(f"  data set {seed}: " + "; ".join(short(r) for r in rows if r["seed"] == seed), flush=True)
    title = f"{sizes[0]} models, {sizes[1]:,} users, {sizes[2]:,} votes"
    for name in ("emjax", "arena-rank", "evalica"):
        mine = [r for r in rows if r["package"] == name]
        if not mine:
            why = next(why for peer, why in reasons.items() if PEERS[peer] == name)
            out.not_run(f"{name}, {title}: slope, coverage, seconds", why)
            continue
        report(out, name, title, mine)
    out.keep("leaderboards", rows)
    out.keep("leaderboards_not_run", reasons)
    out.keep("leaderboards_warnings", warned)


def short(r):
    covered = "" if r["coverage"] is None else f", coverage {r['coverage']:.0%}"
    return f"{r['package']} slope {r['slope']:.3f}{covered}, {r['total']:.1f} s"


def report(out, name, title, mine):
    """Rows of the table for one package; only emjax has targets."""
    ours = name == "emjax"
    slopes = np.array([r["slope"] for r in mine])
    out.figure(
        f"{name}, {title}: slope of estimated on true strengths, {len(mine)} data sets",
        slopes,
        f"{slopes.min():.3f} to {slopes.max():.3f}, mean {slopes.mean():.3f}",
        "each 0.97–1.03" if ours else "",
        ((slopes >= 0.97) & (slopes <= 1.03)).all() if ours else None,
    )
    if mine[0]["coverage"] is None:
        out.figure(f"{name}: coverage of 95 % intervals", None, "gives no intervals")
    else:
        covered = np.mean([r["coverage"] for r in mine])
        out.figure(
            f"{name}: coverage of 95 % intervals, mean",
            covered,
            f"{covered:.1%}",
            "≥ 92 %" if ours else "",
            covered >= 0.92 if ours else None,
        )
    total = np.array([r["total"] for r in mine])
    again = np.array([r["fit again" if ours else "again"] for r in mine])
    reading = f", of which from_votes {np.median([r['from_votes'] for r in mine]):.1f}" if ours else ""
    out.figure(
        f"{name}: seconds from votes as arrays, compilation included",
        total,
        f"{total.min():.1f} to {total.max():.1f}, median {np.median(total):.1f}{reading}",
        "each < 60 s" if ours else "",
        (total < 60).all() if ours else None,
    )
    what = "the fit alone" if ours else "the same call"
    out.figure(f"{name}: {what} a second time, compiled", again, f"{again.min():.1f} to {again.max():.1f} s")


def auc(score, good):
    """Probability that a good user scores above a bad one, ties counted half."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    for value in np.unique(score):
        ranks[score == value] = ranks[score == value].mean()
    many = int(good.sum())
    return float((ranks[good].sum() - many * (many + 1) / 2) / (many * (len(score) - many)))


def known_users(mean, truth):
    return {
        "users_correlation": float(np.corrcoef(mean, truth)[0, 1]),
        "users_rank_correlation": float(spearmanr(mean, truth).statistic),
        "users_auc": auc(mean, truth > truth.mean()),
    }


def to_users(votes, n_models, prior, runs):
    """What crowd-kit gives too, strengths and the reliability of every user; seconds are added to `runs`."""
    user, a, b, won = votes
    models = names(n_models)
    start, worked = time.perf_counter(), time.process_time()
    prefs = emjax.Preferences.from_votes(user, np.column_stack([models[a], models[b]]), won)
    found = emjax.fit_em(prefs, prior)
    mean = found.posterior(prefs).mean
    runs.append((time.perf_counter() - start, time.process_time() - worked))
    order = {model: k for k, model in enumerate(found.strength.models)}
    return np.array(found.strength.strengths)[[order[model] for model in models]], mean


def users_shown(users):
    rank, area = users["users_rank_correlation"], users["users_auc"]
    return f"{users['users_correlation']:.3f} (rank {rank:.3f}, AUC {area:.3f})"


def workers(out, python, smoke, repeats=5):
    """Recovery of attentiveness by either package, and time; emjax is timed before and after crowd-kit."""
    sizes = (5, 100, 2000) if smoke else (20, 2000, 80_000)
    *votes, truth, eta = simulated.arena(500, *sizes, simulated.careless(0.5, low=0.3, high=0.98))
    warned, rows, priors = {}, [], (emjax.Grid(), emjax.TwoPoint())
    eta = eta[np.unique(votes[0])]
    runs = {type(prior).__name__: [] for prior in priors}

    def some_runs(count):
        with record.counted_warnings(warned):
            return [
                [to_users(votes, sizes[0], prior, runs[type(prior).__name__]) for _ in range(count)][-1]
                for prior in priors
            ]

    found = some_runs(1)
    for (name, taken), (strengths, mean) in zip(runs.items(), found, strict=True):
        rows.append(row(f"emjax {name}", 500, truth, strengths, None, {"total": taken[0][0]}))
        rows[-1] |= known_users(mean, eta)
    some_runs(repeats)
    answer = None if python is None else peers.elsewhere(python, "crowd_kit", *votes, sizes[0])
    some_runs(repeats)
    for mine, taken in zip(rows, runs.values(), strict=True):
        mine["seconds"], mine["processor"] = zip(*taken[1:], strict=True)
    report_emjax(out, f"{sizes[0]} models, {sizes[1]:,} users, {sizes[2]:,} votes", rows)
    if answer is not None:
        out.versions["crowd-kit"] = answer.version
        theirs = row("crowd-kit", 500, truth, answer.strengths, None, {"total": answer.seconds})
        theirs |= {"processor": answer.processor_seconds} | known_users(answer.skills, eta)
    report_crowd_kit(out, rows, None if answer is None else theirs)
    out.keep("workers", rows if answer is None else [*rows, theirs])
    out.keep("workers_warnings", warned)


def report_emjax(out, title, rows):
    """Rows of the table for emjax: the targets are for Grid, which assumes no form of the distribution."""
    for mine in rows:
        ours = mine["package"] == "emjax Grid"
        out.figure(
            f"{mine['package']}, {title}: correlation of estimated with true attentiveness",
            mine["users_correlation"],
            users_shown(mine),
            "≥ 0.78" if ours else "",
            mine["users_correlation"] >= 0.78 if ours else None,
        )
        middle = np.median(mine["seconds"])
        out.figure(
            f"{mine['package']}: seconds from votes as arrays to users, compiled",
            mine["seconds"],
            f"median {middle:.3f}, best {min(mine['seconds']):.3f} of {len(mine['seconds'])} (processor time "
            f"{np.median(mine['processor']):.3f}); compilation, the first time, {mine['total'] - middle:.1f}",
        )


def report_crowd_kit(out, rows, theirs):
    """Rows of the table for crowd-kit, and the factors of time."""
    if theirs is None:
        out.not_run("crowd-kit NoisyBradleyTerry on the same votes", ABSENT)
        out.not_run("emjax Grid faster than crowd-kit by a factor of", f"crowd-kit {ABSENT}", "≥ 50")
        return
    out.figure(
        "crowd-kit NoisyBradleyTerry on the same votes: correlation of skill with true attentiveness",
        theirs["users_correlation"],
        f"{users_shown(theirs)}; {theirs['total']:.1f} s (processor time {theirs['processor']:.1f})",
    )
    for mine in rows:
        ours = mine["package"] == "emjax Grid"
        ratio = theirs["total"] / np.median(mine["seconds"])
        work = theirs["processor"] / np.median(mine["processor"])
        out.figure(
            f"{mine['package']} faster than crowd-kit by a factor of",
            ratio,
            f"{ratio:,.0f} by the median (in processor time {work:,.0f}); "
            f"{theirs['total'] / mine['total']:,.1f} with emjax's compilation",
            "≥ 50" if ours else "",
            ratio >= 50 if ours else None,
        )


def main():
    default = Path("build/peers/bin/python")
    given = record.options(
        "against",
        __doc__,
        "python -m benchmarks.against --python-arena-rank build/peers/bin/python",
        (
            "--python-arena-rank",
            {"type": Path, "default": default, "help": f"Python that has arena-rank (default: {default})"},
        ),
    )
    # not resolved: an environment is known by the path its Python is called by
    here, other = Path(sys.executable), Path(given.python_arena_rank).absolute()
    pythons = {peer: peers.found_in((here, other), peer) for peer in PEERS}
    out = record.Record("against", given)
    workers(out, pythons["crowd_kit"], given.smoke)
    leaderboards(out, pythons, given.smoke)
    out.write()


if __name__ == "__main__":
    main()
