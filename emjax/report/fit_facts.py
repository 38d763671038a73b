"""What the page of a fit states: counts, the model in words, what is loosely determined, errors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from emjax.report.format import count, is_missing, number, percent, plural, prose, shorten
from emjax.report.read_fit_folder import ReportFiles

PRIORS = {
    "TwoPoint": "two types of users (TwoPoint)",
    "Points": "a few types of users (Points)",
    "Beta": "a Beta distribution (Beta)",
    "Grid": "free weights on a grid (Grid)",
    "Fixed": "a distribution given beforehand (Fixed)",
}
STRENGTHS = {
    "Known": "given beforehand (Known)",
    "Shared": "one strength for all comparisons (Shared)",
    "PerPair": "one strength per comparison (PerPair)",
    "BradleyTerry": "one strength per model (BradleyTerry)",
    "PerItem": "one strength per pair of answers (PerItem)",
    "RewardNetwork": "from a reward network over features of the answers (RewardNetwork)",
    "MonotoneReward": "from a reward model's scores of the answers (MonotoneReward)",
}
_IF_THERE = ("curvature.npz", "strength.npz", "history.parquet", "prior_users.parquet")
FEW = 200  # users, below which their fitted distribution is known poorly
SAME = 1e-3  # standard deviation of attentiveness below which users do not differ
LARGE = 0.25  # standard errors that are so large, on the scale of the parameter, need a word
MEANINGS = {
    "fit.json": "the fit: attentiveness over users, parameters, what is not determined, how the fit went",
    "users.parquet": "one row per user: votes, attentiveness (posterior mean, standard deviation, mode), "
    "probability of being attentive, flip rate, agreement with the fitted strengths",
    "comparisons.parquet": "one row per comparison: its two models, strength with standard error, votes, "
    "and how many of them A won",
    "curvature.npz": "the curvature of the log-likelihood, from which standard errors are computed",
    "strength.npz": "what was learned of each answer, and the network",
    "history.parquet": "votes of each user, summarised for a later fit (emjax fit --prior-users)",
    "prior_users.parquet": "what was known of users before these votes",
    "covariates.parquet": "one row per covariate: its effect on the log-odds with which users prefer A",
    "leaderboard.parquet": "one row per model: strength with standard error and 95 % interval, votes, rank, "
    "and its ordinary Bradley\u2013Terry strength",
    "truth.json": "what the simulated votes were drawn from",
    "report.html": "this page, made from the files above; emjax report makes it again",
}


def headline(files: ReportFiles, careless: int) -> str:
    """The heading, which is the page's title too: which model leads, and how many users are careless."""
    users = plural(files.fit["data"]["n_users"], "user")
    who = f"{count(careless)} of {users} appear{'s' if careless == 1 else ''} careless"
    if scale_is_open(files.fit):
        who = f"how many of {users} are careless is not determined"
    first = leader(files)
    if first is None:
        return who[0].upper() + who[1:]
    overall = " overall" if files.by_context else ""
    return f"{shorten(first.model, 40)} is the strongest of {plural(first.of, 'model')}{overall}; {who}"


class Leader(NamedTuple):
    """The strongest of several models, and the second where it is not sure that the first leads (else "")."""

    model: str
    of: int
    second: str


def leader(files: ReportFiles) -> Leader | None:
    """Which model leads, overall; None without a leaderboard, or where no votes connect the models."""
    board = files.leaderboard
    if board is None or (board["rank"] == 1).sum() != 1 or len(board["model"]) < 2:
        return None
    first, second = np.argsort(-board["strength"], kind="stable")[:2]
    # Folders of earlier versions have no ends of ranks. Without intervals both are False.
    apart = board["lower"][first] > board["upper"][second]
    surely = board["worst_rank"][first] == 1 if "worst_rank" in board else apart
    names = [str(name) for name in board["model"]]
    return Leader(names[first], len(names), "" if surely else names[second])


def scale_is_open(fit: dict) -> bool:
    """Whether shares of users, and everything absolute about attentiveness, rest on an assumption."""
    return any(f.get("about") == "scale" for f in fit["identifiability"]["findings"])


def is_undetermined(fit: dict) -> bool:
    """Whether some parameter is set by a prior or by the start; one at a bound is not."""
    said = fit["identifiability"]
    found = said["findings"]
    return any(f.get("undetermined") for f in found) or not (
        said["identified"] or any(f.get("about") == "bound" for f in found)
    )


def findings(fit: dict, say: Callable[[str], str]) -> list[dict[str, Any]]:
    """What is not determined, warnings first, each in the words of the reader."""
    found = sorted(fit["identifiability"]["findings"], key=lambda f: f["level"] != "warning")
    return [
        {"warning": f["level"] == "warning", "what": say(f["what"]), "remedy": say(f.get("remedy") or "")}
        for f in found
    ]


def votes_cast(files: ReportFiles) -> str:
    """How many users cast how many votes in how many comparisons."""
    data = files.fit["data"]
    where = "one comparison"
    if data["n_comparisons"] != 1:
        where = plural(data["n_comparisons"], "comparison")
    if data.get("n_models") and data["n_comparisons"] > 1:
        where += f" of {plural(data['n_models'], 'model')}"
    return f"{plural(data['n_users'], 'user')} cast {plural(data['n_votes'], 'vote')} in {where}"


def attention(files: ReportFiles) -> dict[str, Any]:
    """How attentive users are.

    `careless` users have a posterior mean attentiveness below one half, and are a `share` of all (NaN without
    users). `expected` is the share that summing the users' probabilities gives, or None, and `judged` the
    share of votes that are attentive. `ordered` says whether there is an order of users to trust: some have
    several votes, and the fit lets them differ.
    """
    fit, mean, votes = files.fit, files.users["attentiveness"], files.users["n_votes"]
    known = mean[np.isfinite(mean)]
    probability = files.user_table.prob_attentive
    judged = fit["attentiveness"]["mean"]
    if fit["behavior"].get("features"):  # the prior is of votes where all features are 0
        judged = np.average(mean, weights=votes)
    differ = float(fit["attentiveness"]["sd"]) > SAME
    return {
        "careless": int((mean < 0.5).sum()),
        "share": float((known < 0.5).mean()) if len(known) else float("nan"),
        "expected": 1.0 - probability if np.isfinite(probability) else None,
        "judged": judged,
        "ordered": differ and bool(np.nanmax(votes, initial=0.0) > 1.0),
    }


def optimality_gap(fit: dict) -> str:
    """The bound on the optimality gap, with the tolerance."""
    if is_missing(fit["gap"]):
        return "an unknown amount"
    return f"{number(max(float(fit['gap']), 0.0), 3)} units (tolerance {number(fit['tol'], 3)})"


def headlines(files: ReportFiles, share: float) -> list[tuple[str, str, bool]]:
    """Four things to see first: what it is, how much, and whether it needs attention."""
    fit, data = files.fit, files.fit["data"]
    models = data.get("n_models")
    if not fit["converged"]:
        third = ("fit has not converged", prose(fit["outcome"]), True)
    elif models == 2:
        third = ("comparison of two models", "1", False)
    elif models and models > 2:
        third = ("models", count(models), False)
    else:
        third = ("comparisons", count(data["n_comparisons"]), False)
    first = [("users", count(data["n_users"]), False), ("votes", count(data["n_votes"]), False)]
    careless = "of users appear careless" + (", on an assumed scale" if scale_is_open(fit) else "")
    return [*first, third, (careless, percent(share), False)]


def users_at_the_edge(fit: dict) -> float | None:
    """Share of users that a grid puts at 1 while strengths are free: that edge then sets the scale."""
    nodes, weights = (np.asarray(fit["attentiveness"][key], np.float64) for key in ("nodes", "weights"))
    share = float(weights[nodes > 1.0 - SAME].sum())
    free = fit["prior"]["type"] == "Grid" and fit["strength"]["type"] != "Known"
    return share if free and share >= 0.01 else None


def loosely_determined(parameters: list[dict]) -> list[str]:
    """Names of the parameters with a standard error that is large on their scale.

    The scale of a model's strength is how far apart the models are; that of a Beta's shape is the estimate;
    everything else lies between 0 and 1.

    Examples
    --------
    >>> loosely_determined([{"name": "low", "estimate": 0.4, "std_err": 0.3}])
    ['low']
    """
    models = [p["estimate"] for p in parameters if p["name"].startswith("strength of ")]
    apart = max(models, default=0.0) - min(models, default=0.0)

    def scale(p: dict) -> float:
        if p["name"].startswith("strength of "):
            return apart
        return abs(p["estimate"]) if p["name"] in ("a", "b") else 0.5

    known = [p for p in parameters if not is_missing(p.get("std_err"))]
    return [p["name"] for p in known if p["std_err"] > LARGE * scale(p)]


def in_words(part: dict[str, Any], words: Mapping[str, str]) -> str:
    """A part of the model by the name of its class: `PRIORS`, `STRENGTHS`; one without words by the name.

    Of a class from outside that is the end of its import path.
    """
    name = str(part["type"])
    return words.get(name, name.rpartition(":")[2])


def strength_in_words(strength: dict[str, Any]) -> str:
    """What a comparison's strength is made of, in words."""
    return in_words(strength, STRENGTHS) + (
        ", and in each context" if strength.get("l2_context") is not None else ""
    )


def behavior_in_words(behavior: dict[str, Any]) -> str:
    """The response model, in words."""
    if behavior["type"] != "AttentiveOrRandom":
        return in_words(behavior, {"Sharpness": "attentiveness as sharpness (Sharpness)"})
    ties = behavior.get("ties")
    first = "attentively or at random (AttentiveOrRandom)"
    ways = ["random clicks prefer a side" if behavior.get("sides") else ""]
    ways += [f"ties are an outcome ({ties['type']})" if ties else ""]
    ways += ["attentive votes depend on features of votes" if behavior.get("features") else ""]
    return ", ".join([first, *(way for way in ways if way)])


def sd_is_too_small(fit: dict) -> str:
    """Why the standard deviations of users are too small: "few users", "atoms", or "" where they are not."""
    if fit["data"]["n_users"] < FEW:
        return "few users"
    return "atoms" if fit["prior"]["type"] == "Grid" else ""


def against_truth(files: ReportFiles) -> list[tuple[str, str]]:
    """How close a fit to simulated votes came to what they were drawn from: of what, and how close."""
    entries = []
    if files.user_table.matched is not None:
        estimate, true = files.user_table.matched
        error = float(np.sqrt(np.mean((estimate - true) ** 2)))
        entries.append(
            ("Users\u2019 attentiveness", f"root mean square error of the posterior means {number(error)}")
        )
        if estimate.std() > 0 and true.std() > 0:
            entries.append(("", f"correlation with the truth {number(np.corrcoef(estimate, true)[0, 1])}"))
    board = files.leaderboard
    true = true_strengths(files)
    if board is not None and true is not None:
        both = np.isfinite(true)
        for name, column in (("Strengths", "strength"), ("Ordinary Bradley\u2013Terry", "ordinary_strength")):
            error = (board[column] - true)[both]
            entries.append((name, f"root mean square error {number(np.sqrt(np.mean(error**2)))}"))
    return entries


def true_strengths(files: ReportFiles) -> np.ndarray | None:
    """What the leaderboard's strengths should be, shape (models,), NaN for models without; None if unknown.

    Strengths are known up to a constant, so the true ones are moved to where the fitted ones are.
    """
    by_model = (files.truth or {}).get("strengths")
    if files.leaderboard is None or not isinstance(by_model, dict):
        return None
    fitted = files.leaderboard["strength"]
    true = np.array([by_model.get(name) for name in files.leaderboard["model"]], dtype=np.float64)
    both = np.isfinite(true) & np.isfinite(fitted)
    return true - true[both].mean() + fitted[both].mean() if both.sum() > 1 else None


def files_there(files: ReportFiles) -> dict[str, str]:
    """The files of the folder, and what each means."""
    there = dict.fromkeys(["fit.json", "users.parquet", "comparisons.parquet", "report.html"], True)
    there |= {"covariates.parquet": bool(files.fit["strength"].get("covariates"))}
    there |= {"leaderboard.parquet": files.leaderboard is not None, "truth.json": files.truth is not None}
    there |= {name: (files.folder / name).is_file() for name in _IF_THERE}
    meanings = MEANINGS
    if files.by_context:
        ranked = MEANINGS["leaderboard.parquet"].replace("model", "model, overall and in each context", 1)
        meanings = MEANINGS | {"leaderboard.parquet": ranked}
    return {name: text for name, text in meanings.items() if there[name]}
