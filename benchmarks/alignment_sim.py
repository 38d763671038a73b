"""Does attentiveness improve the policy? Exact DPO on simulated votes, every policy, thousands of trainings.

The world is in alignment_world.py, the losses in alignment_train.py, the arms in alignment_arms.py. Rewards
are on held-out prompts, above the reference policy's, of two policies: the trained one (fixed β), and the
same with its logits scaled until its KL to the reference is the ideal policy's (matched KL).
"""

import jax
import numpy as np
from scipy.stats import t as student

import emjax
from benchmarks import alignment_arms as arms
from benchmarks import alignment_train as train
from benchmarks import alignment_world as world
from benchmarks import record

USERS, EACH = 300, 20
STRENGTHS = (0.6, 0.74, 0.98)
MU = 0.74
SWEEP = tuple(np.round(np.arange(0.1, 1.0, 0.1), 1))
BRIEF = (arms.UNFILTERED, arms.PAPER, arms.top(0.5), arms.MOST, arms.WEIGHTS, arms.ATTENTIVE, arms.RIDGED)
GUESSED = (*BRIEF, arms.AGAIN)
MORE = (*BRIEF, arms.AGAIN, arms.REPO, arms.ORACLE, arms.FREE)
REASONS = (arms.UNFILTERED, arms.WEIGHTS, arms.ATTENTIVE, arms.RIDGED, arms.ORACLE, arms.FREE)


def spread(values):
    """Mean over seeds, and half of the width of its 95 % interval (Student's t)."""
    values = np.asarray(values, float)
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return round(float(values.mean()), 6), round(float(half), 6)


def shown(values, digits=3, sign=""):
    mean, half = spread(values)
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


class Sizes:
    """What --smoke makes small."""

    def __init__(self, smoke):
        self.seeds = range(2) if smoke else range(20)
        self.users = 60 if smoke else USERS
        self.prompts = 50 if smoke else 1000
        self.strengths = (MU,) if smoke else STRENGTHS
        self.shapes = tuple(world.SHAPES)[:2] if smoke else tuple(world.SHAPES)
        self.each = (10, EACH) if smoke else (3, 5, 10, EACH, 50, 100)
        self.times = 2 if smoke else 4
        self.sweep = SWEEP[::4] if smoke else SWEEP


def experiment(
    out, sizes, mu, shape, which, *, users=None, each=EACH, prior=False, tops=arms.TOPS, skewed=False
):
    """Draw, fit, train and judge one condition; its raw figures go into `out`. Arm -> results over seeds."""
    users = sizes.users if users is None else users
    worlds, eta = world.draw(sizes.seeds, mu, shape, users, each, sizes.prompts, skewed)
    family = emjax.TwoPoint() if shape == "two-point" else emjax.Beta()
    strength = emjax.Shared(prior=(8, 2)) if prior else emjax.Known(mu)
    warned = {}
    judged = [arms.judge(won, each, family, strength, tops, warned) for won in worlds.won]
    found = arms.run(worlds, eta, judged, which)
    name = f"{shape}, μ {mu}, {users} x {each}" + (", prior on μ" if prior else "") + (", skewed" * skewed)
    name = f"sweep: {name}" if tops is not arms.TOPS else name
    rows = []
    for arm, result in found.items():
        row = {"arm": arm, "kept": spread(result["kept"]), "no minimum": int(result["open"].sum())}
        row |= {f"reward, {kind}": np.round(result[kind]["reward"], 5) for kind in ("fixed", "matched")}
        row |= {f"win rate, {kind}": spread(result[kind]["win_rate"]) for kind in ("fixed", "matched")}
        row |= {"kl": spread(result["fixed"]["kl"]), "cosine": spread(result["cosine"])}
        rows.append(row | {"length, median": float(np.median(result["length"]))})
    out.keep(name, rows)
    truth = {"mu": worlds.chance.mean(axis=1), "mu, fitted": [j.strength for j in judged]}
    truth |= informations(worlds.chance, np.repeat(eta, each, axis=1))
    truth |= {"mean attentiveness": eta.mean(axis=1), "mean, fitted": [j.mean for j in judged]}
    out.keep(f"{name}: estimates", {k: np.round(v, 5) for k, v in truth.items()} | {"warnings": warned})
    print(f"  ran {name}", flush=True)
    return found, judged, truth


def informations(p, eta):
    """Mean information of a vote about its margin: noise-free, and with the user's true attentiveness."""
    vote = 0.5 + eta * (p - 0.5)
    noisy = (eta * p * (1 - p)) ** 2 / (vote * (1 - vote))
    return {"information, noise-free": (p * (1 - p)).mean(axis=1), "information": noisy.mean(axis=1)}


def gain(found, arm, kind="matched", against=arms.UNFILTERED):
    """Difference in reward between two arms, seed by seed."""
    return found[arm][kind]["reward"] - found[against][kind]["reward"]


def cell(found, arm, kind):
    """One entry of a table: the reward, or what it is above the unfiltered arm's, with its interval."""
    text = shown(found[arm]["fixed"]["reward"], 2) if kind == "fixed" else shown(gain(found, arm), 4, "+")
    if kind != "fixed" and arm == arms.UNFILTERED:
        text = shown(found[arm]["matched"]["reward"])
    lost = int(found[arm]["open"].sum())
    return text + (f" ({lost} open)" if lost and kind == "fixed" else "")


def both_columns(out, title, first, conditions, which):
    """Rows: arms. Columns: for every condition the reward at fixed β, and the gain at matched KL."""
    heads = [f"{name}: {kind}" for name in conditions for kind in ("fixed β", "matched KL, gain")]
    rows = [
        [arm, *(cell(found, arm, kind) for found in conditions.values() for kind in ("fixed", "matched"))]
        for arm in which
    ]
    out.table(title, [first, *heads], rows)


def reference_table(out, found):
    """Everything about one condition."""
    heads = [
        "arm",
        "votes kept",
        "reward, fixed β",
        "win rate",
        "KL",
        "reward, matched KL",
        "less unfiltered",
    ]
    rows = []
    for arm in arms.ARMS:
        r = found[arm]
        row = [arm, f"{r['kept'].mean():.0%}", shown(r["fixed"]["reward"]), shown(r["fixed"]["win_rate"])]
        row += [shown(r["fixed"]["kl"], 2), shown(r["matched"]["reward"]), shown(gain(found, arm), 4, "+")]
        rows.append([*row, shown(r["matched"]["win_rate"]), shown(r["cosine"], 4)])
    out.table(f"Two-point, μ = {MU}: everything", [*heads, "win rate, matched", "cosine"], rows)


def gaps(out, sizes):
    """The paper's Table 2: every gap between the generators, every shape of attentiveness, every arm."""
    all_found = {}
    for shape in sizes.shapes:
        for mu in sizes.strengths:
            found, _, truth = experiment(out, sizes, mu, shape, arms.ARMS)
            all_found[shape, mu] = found
            with_eta = truth["information"] / truth["information, noise-free"]
            out.figure(
                f"{shape}, μ = {mu}: information of a vote on its margin, noise-free; the share with true η",
                [spread(truth["information, noise-free"])[0], spread(with_eta)[0]],
                f"{truth['information, noise-free'].mean():.4f}; {with_eta.mean():.1%}",
            )
            if shape == sizes.shapes[0]:
                out.figure(
                    f"μ = {mu}: gap of the generators, and realised μ",
                    spread(truth["mu"]),
                    f"{world.calibrated(mu):.3f}; {shown(truth['mu'], 4)}",
                )
    reference_table(out, all_found["two-point", MU])
    for shape in sizes.shapes:
        here = {f"μ = {mu}": all_found[shape, mu] for mu in sizes.strengths}
        both_columns(out, f"Attentiveness {shape}", "arm", here, arms.ARMS)
    return all_found


def verdicts(out, all_found):
    """The expectations, and in how many conditions each held."""
    many = len(all_found)

    def count(what, holds, target=True):
        names = {True: [], False: []}
        for (shape, mu), found in all_found.items():
            names[bool(holds(found))].append(f"{shape} {mu}")
        yes, no = len(names[True]), len(names[False])
        which = f"; not in {', '.join(names[False])}" if no <= yes else f": {', '.join(names[True])}"
        text = f"{yes} of {many}" + (which if yes and no else "")
        out.figure(what, yes, text, f"all {many}" if target else "", not no if target else None)

    def above(values):
        mean, half = spread(values)
        return mean - half > 0

    def best_filter(found, kind):
        return max(arms.FILTERS, key=lambda arm: found[arm][kind]["reward"].mean())

    count(
        "MAP filter above unfiltered at fixed β, 95 % interval of the paired difference above 0",
        lambda f: above(gain(f, arms.PAPER, "fixed")),
    )
    count("the same at matched KL", lambda f: above(gain(f, arms.PAPER)), target=False)
    count("MAP filter below unfiltered at matched KL, likewise", lambda f: above(-gain(f, arms.PAPER)), False)
    for arm in (arms.ATTENTIVE, arms.RIDGED):
        count(
            f"{arm}: mean reward at fixed β within 10 % of noise-free labels'",
            lambda f, arm=arm: (
                abs(spread(gain(f, arm, "fixed", arms.FREE))[0])
                <= 0.1 * f[arms.FREE]["fixed"]["reward"].mean()
            ),
        )
        count(
            f"{arm}: mean reward at matched KL at least 99 % of noise-free labels'",
            lambda f, arm=arm: (
                f[arm]["matched"]["reward"].mean() >= 0.99 * f[arms.FREE]["matched"]["reward"].mean()
            ),
        )
        count(
            f"{arm}: ahead of the best of {len(arms.FILTERS)} filters at matched KL, by the mean",
            lambda f, arm=arm: gain(f, arm, "matched", best_filter(f, "matched")).mean() > 0,
        )
        count(
            f"{arm}: ahead of RE-PO as published at matched KL, by the mean",
            lambda f, arm=arm: gain(f, arm, "matched", arms.REPO).mean() > 0,
        )
        count(
            f"{arm}: nearer to noise-free labels than RE-PO as published at fixed β, by the mean",
            lambda f, arm=arm: (
                np.abs(gain(f, arm, "fixed", arms.FREE)).mean()
                < np.abs(gain(f, arms.REPO, "fixed", arms.FREE)).mean()
            ),
        )
    count(
        "weights above unfiltered at matched KL, interval above 0",
        lambda f: above(gain(f, arms.WEIGHTS)),
        False,
    )


def sweep(out, sizes):
    """The paper's Fig. 6: how many votes to keep, and where the information of what is kept is largest."""
    lines, raw = [], {}
    keeps = [arms.top(f) for f in sizes.sweep]
    for shape in sizes.shapes:
        which = (arms.UNFILTERED, *keeps, arms.MOST, arms.ATTENTIVE)
        found, judged, _ = experiment(out, sizes, MU, shape, which, tops=sizes.sweep)
        grid = np.append(sizes.sweep, 1.0)
        curves = np.array([np.interp(grid, *j.curve[:2]) for j in judged])
        spot = np.array([j.curve[0][j.curve[2]] for j in judged])
        names = [*keeps, arms.UNFILTERED]
        best = {
            k: float(grid[np.argmax([found[n][k]["reward"].mean() for n in names])])
            for k in ("fixed", "matched")
        }
        for kind, label in (("fixed", "reward, fixed β"), ("matched", "gain, matched KL")):
            lines.append([f"{shape}: {label}", *(cell(found, n, kind) for n in names)])
        lines.append([f"{shape}: information, predicted", *(f"{x:.3f}" for x in curves.mean(axis=0))])
        raw[shape] = {"kept": grid, "information": curves.mean(axis=0), "sweet spot": spot, "best": best}
        for kind in ("fixed", "matched"):
            raw[shape][kind] = [spread(gain(found, n, kind)) for n in names]
            raw[shape][f"{kind}, attentive"] = spread(gain(found, arms.ATTENTIVE, kind))
        raw[shape]["unfiltered"] = {
            k: spread(found[arms.UNFILTERED][k]["reward"]) for k in ("fixed", "matched")
        }
        difference = gain(found, arms.MOST) - np.max([gain(found, n) for n in names], axis=0)
        out.figure(
            f"{shape}: share of votes kept, predicted best against measured best at matched KL (at fixed β)",
            [spread(spot)[0], best["matched"], best["fixed"]],
            f"{shown(spot, 2)} against {best['matched']:.1f} ({best['fixed']:.1f}); the predicted one is "
            f"{shown(-difference, 4)} below each seed's best",
        )
    out.table(
        f"Share of votes kept, μ = {MU}", ["", *(f"{f:.0%}" for f in np.append(sizes.sweep, 1.0))], lines
    )
    out.keep("sweep", raw)


def guessed(out, sizes, all_found):
    """The paper's Fig. 8: a Beta(8, 2) prior on μ in place of its value."""
    for shape in sizes.shapes[:2]:
        here, scale = {}, []
        for mu in sizes.strengths:
            found, _, truth = experiment(out, sizes, mu, shape, GUESSED, prior=True)
            here[f"μ = {mu}, known"], here[f"μ = {mu}, prior"] = all_found[shape, mu], found
            ratio = np.array(truth["mean, fitted"]) / truth["mean attentiveness"]
            kept = [here[f"μ = {mu}, {how}"][arms.PAPER]["kept"].mean() for how in ("known", "prior")]
            scale.append(
                f"{mu}: μ̂ {np.mean(truth['mu, fitted']):.3f}, attentiveness times {ratio.mean():.2f}, "
                f"MAP filter keeps {kept[1]:.0%} (known: {kept[0]:.0%})"
            )
        out.figure(f"{shape}, Beta(8, 2) prior on μ, at a true μ of", None, "; ".join(scale))
        both_columns(out, f"Known μ against a Beta(8, 2) prior on it: {shape}", "arm", here, GUESSED)


def by_votes(out, sizes, all_found):
    """Votes per user from few to many, the number of all votes held."""
    for shape in sizes.shapes[:2]:
        here = {}
        for each in sizes.each:
            users = sizes.users * EACH // each
            if each == EACH:
                here[f"{each} each"] = all_found[shape, MU]
            else:
                here[f"{each} each"] = experiment(out, sizes, MU, shape, MORE, users=users, each=each)[0]
        title = f"Votes per user, {sizes.users * EACH:,} votes in all, μ = {MU}: {shape}"
        both_columns(out, title, "arm", here, MORE)


def reasons(out, sizes, all_found):
    """Why a correct loss can do worse: few close pairs, and features under which the losses differ."""
    many = sizes.times * sizes.users
    for mu in sizes.strengths[-2:]:

        def trained(users=sizes.users, skewed=False, mu=mu):
            return experiment(out, sizes, mu, "two-point", REASONS, users=users, skewed=skewed)[0]

        here = {"normal features": all_found["two-point", mu]}
        here[f"{sizes.times} times the votes"] = trained(many)
        here["skewed features"] = trained(skewed=True)
        here[f"skewed, {sizes.times} times the votes"] = trained(many, skewed=True)
        both_columns(out, f"Reasons, two-point, μ = {mu}", "arm", here, REASONS)


def starts(out, sizes):
    """Does the attentive loss, which is not convex, end in one place from the reference and the truth?"""
    for shape in sizes.shapes[:2]:
        for mu in sizes.strengths[-2:]:
            several_ends(out, sizes, shape, mu)


def several_ends(out, sizes, shape, mu):
    worlds, eta = world.draw(sizes.seeds, mu, shape, sizes.users, EACH, sizes.prompts)
    signed = np.where(worlds.won, 1.0, -1.0)[..., None] * worlds.difference
    about, one = np.repeat(eta, EACH, axis=1), np.ones(worlds.won.shape)
    lost = []
    for start in (np.zeros_like(worlds.theta), worlds.theta):
        u, _ = train.train(train.attentive, signed, one, about, start)
        lost.append(jax.vmap(train.attentive)(np.einsum("svf,sf->sv", signed, u), about).sum(axis=1))
    apart = np.asarray(lost[0] - lost[1])
    higher, lower = int((apart > 1e-3).sum()), int((apart < -1e-3).sum())
    out.figure(
        f"{shape}, μ = {mu}, attentive loss with true η: its end from the reference against from the truth",
        [higher, lower],
        f"the same in {len(apart) - higher - lower} of {len(apart)} seeds, {higher} higher, {lower} lower, "
        f"by {np.abs(apart).max():.2g} log units at most",
    )
    out.keep(f"ends {shape} {mu}", apart)


def main():
    given = record.options("alignment_sim", __doc__, "python -m benchmarks.alignment_sim")
    out, sizes = record.Record("alignment_sim", given), Sizes(given.smoke)
    with jax.enable_x64(True):
        all_found = gaps(out, sizes)
        verdicts(out, all_found)
        sweep(out, sizes)
        guessed(out, sizes, all_found)
        by_votes(out, sizes, all_found)
        reasons(out, sizes, all_found)
        starts(out, sizes)
    out.write()


if __name__ == "__main__":
    main()
