"""Sentences and lists of the page."""

import numpy as np

from emjax.report.fit_folder import ReportFiles
from emjax.report.format import count, escape, is_missing, number, percent, plural, prose

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


def title(files: ReportFiles) -> str:
    """The heading, which is the page's title too."""
    return f"Attentiveness of {plural(files.fit['data']['n_users'], 'user')}"


def careless_share(files: ReportFiles) -> float:
    """Share of users whose posterior mean attentiveness is below one half (NaN without users)."""
    mean = files.users["attentiveness"]
    mean = mean[np.isfinite(mean)]
    return float((mean < 0.5).mean()) if len(mean) else float("nan")


def lede(files: ReportFiles) -> str:
    """The headline facts as sentences."""
    data, fit = files.fit["data"], files.fit
    where = "one comparison"
    if data["n_comparisons"] != 1:
        where = plural(data["n_comparisons"], "comparison")
    if data.get("n_models") and data["n_comparisons"] > 1:
        where += f" of {plural(data['n_models'], 'model')}"
    first = f"{plural(data['n_users'], 'user')} cast {plural(data['n_votes'], 'vote')} in {where}"
    first += f", read from {escape(data['source'])}." if data.get("source") else "."
    left_out = [f"{count(number_)} ({prose(what)})" for what, number_ in (data.get("left_out") or {}).items()]
    second = f"Left out: {', '.join(left_out)}." if left_out else "No vote was left out."
    besides = data.get("n_votes_known_besides")
    if besides:
        second += f" Of the users {plural(besides, 'answer')} to gold questions, or earlier votes, count too."
    return f"<p>{first} {second}</p>\n<p>{_attention(files)} {_outcome(fit)}</p>"


def _attention(files: ReportFiles) -> str:
    prior = files.fit["attentiveness"]
    mean = files.users["attentiveness"]
    careless = int((mean < 0.5).sum())
    probability = files.user_table.prob_attentive
    appear = "appears" if careless == 1 else "appear"
    text = f"{plural(careless, 'user')} ({percent(careless_share(files))}) {appear} careless, "
    text += "with a posterior mean below ½"
    if np.isfinite(probability):
        text += (
            "; summing every user\u2019s probability of attentiveness below ½ gives "
            f"{percent(1.0 - probability)}"
        )
    judged = prior["mean"]
    if files.fit["behavior"].get("features"):  # the prior is of votes where all features are 0
        judged = np.average(mean, weights=files.users["n_votes"])
    text += f". On average, users really judge in {percent(judged)} of their votes."
    if not files.fit["identifiability"]["identified"]:
        text += ' These figures rest on more than the votes (<a href="#undetermined">see below</a>)'
        text += (
            ": trust the order of users before any fixed cut such as ½." if _users_are_ordered(files) else "."
        )
    return text


def _users_are_ordered(files: ReportFiles) -> bool:
    """Whether there is an order of users to trust: some have several votes, and the fit lets them differ."""
    votes = files.users["n_votes"]
    return float(files.fit["attentiveness"]["sd"]) > SAME and bool(np.nanmax(votes, initial=0.0) > 1.0)


def _outcome(fit: dict) -> str:
    if fit["converged"]:
        return f"The fit converged: the optimality gap of its log-likelihood is at most {_gap(fit)}."
    return f"The fit has not converged. {prose(fit['message'])}"


def _gap(fit: dict) -> str:
    if is_missing(fit["gap"]):
        return "an unknown amount"
    return f"{number(max(float(fit['gap']), 0.0), 3)} units (tolerance {number(fit['tol'], 3)})"


def facts(files: ReportFiles) -> str:
    """Four numbers to see first."""
    fit, data = files.fit, files.fit["data"]
    models = data.get("n_models")
    third = (
        ("models", count(models)) if models and models > 2 else ("comparisons", count(data["n_comparisons"]))
    )
    if models == 2:
        third = ("comparison of two models", "1")
    entries = [
        ("users", count(data["n_users"]), ""),
        ("votes", count(data["n_votes"]), ""),
        (*third, ""),
        ("of users appear careless", percent(careless_share(files)), ""),
    ]
    if not fit["converged"]:
        entries[2] = ("fit has not converged", prose(fit["outcome"]), ' class="attention"')
    cells = "".join(f"<div{look}><dt>{name}</dt><dd>{value}</dd></div>" for name, value, look in entries)
    return f'<dl class="facts">{cells}</dl>'


def findings(files: ReportFiles) -> str:
    """What the votes leave open, each with its remedy."""
    identifiability = files.fit["identifiability"]
    found = identifiability["findings"]
    if not found and identifiability["identified"]:
        return f"<p>Nothing: these votes determine every parameter of this model{_how_well(files.fit)}</p>"
    if not found:
        return "<p>These votes do not determine every parameter of this model; the fit gives no details.</p>"
    opening = (
        f"Every parameter is determined{_how_well(files.fit)} There is something to keep in mind."
        if identifiability["identified"]
        else "EM gives an answer here as everywhere, but part of it does not come from the votes. The "
        "likelihood would be as high, or nearly so, for other values."
    )
    items = []
    for finding in found:
        warning = finding["level"] == "warning"
        look, word = (' class="warning"', "Warning") if warning else ("", "Note")
        remedy = f"<p>{prose(finding['remedy'])}</p>" if finding.get("remedy") else ""
        items.append(f'<li{look}><p class="level">{word}</p><p>{prose(finding["what"])}</p>{remedy}</li>')
    return f'<p>{opening}</p>\n<ul class="findings">\n' + "\n".join(items) + "\n</ul>"


def _how_well(fit: dict) -> str:
    """The end of a sentence that says that the parameters are determined: and how well they are."""
    loose = loosely_determined(fit["parameters"])
    if not loose:
        return f".{_edge_note(fit)}"
    named = ", ".join(escape(name) for name in loose[:3])
    more = f" and {len(loose) - 3} more" if len(loose) > 3 else ""
    return (
        f', though some of them hardly: <a href="#parameters">see the standard errors</a> of {named}{more}.'
        + _edge_note(fit)
    )


def _edge_note(fit: dict) -> str:
    """A sentence more where a grid has users at 1 while strengths are free: that edge then sets the scale."""
    nodes, weights = (np.asarray(fit["attentiveness"][key], np.float64) for key in ("nodes", "weights"))
    at_the_edge = weights[nodes > 1.0 - SAME].sum()
    if fit["prior"]["type"] != "Grid" or fit["strength"]["type"] == "Known" or at_the_edge < 0.01:
        return ""
    return (
        f" But {percent(at_the_edge)} of the users are put at an attentiveness of 1, the edge of what is "
        "possible. The scale of attentiveness, and of the strengths, depends on that edge: both may be "
        "further off than their standard errors say."
    )


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


def how_fitted(files: ReportFiles) -> str:
    """Model, steps and outcome as a list."""
    fit = files.fit
    prior, strength = fit["prior"]["type"], fit["strength"]["type"]
    attentiveness = fit["attentiveness"]
    entries = [
        ("Attentiveness", PRIORS.get(prior, prose(prior))),
        ("Strength", STRENGTHS.get(strength, prose(strength)) + _by_context(fit["strength"])),
        ("How users vote", _behavior(fit["behavior"])),
        (
            "Outcome",
            prose(fit["message"] or fit["outcome"]),
        ),
        ("Log-likelihood", number(fit["log_likelihood"], 2)),
        ("Optimality gap, at most", _gap(fit)),
        ("Steps", f"{plural(fit['em_steps'], 'EM step')}, {plural(fit['newton_steps'], 'Newton step')}"),
        (
            "Mean attentiveness",
            f"{number(attentiveness['mean'])}, standard deviation {number(attentiveness['sd'])}",
        ),
    ]
    return definitions(entries)


def _by_context(strength: dict) -> str:
    return ", and in each context" if strength.get("l2_context") is not None else ""


def _behavior(behavior: dict) -> str:
    """The response model, in words."""
    if behavior["type"] != "AttentiveOrRandom":
        known = {"Sharpness": "attentiveness as sharpness (Sharpness)"}
        return known.get(behavior["type"], prose(behavior["type"]))
    ties = behavior.get("ties")
    first = "attentively or at random (AttentiveOrRandom)"
    ways = ["random clicks prefer a side" if behavior.get("sides") else ""]
    ways += [f"ties are an outcome ({prose(ties['type'])})" if ties else ""]
    ways += ["attentive votes depend on features of votes" if behavior.get("features") else ""]
    return ", ".join([first, *(way for way in ways if way)])


def users_footnote(files: ReportFiles) -> str:
    """What the standard deviations of users leave out, and whether that matters here."""
    text = (
        "The standard deviation (sd) of a user takes the fitted distribution of attentiveness and the fitted "
        "strengths as known, so it is too small where they are not."
    )
    if files.fit["data"]["n_users"] < FEW:
        text += " With as few users as here they are not known well: take it for a lower limit."
    elif files.fit["prior"]["type"] == "Grid":
        text += (
            " A fitted Grid consists of a few atoms, and users can lie at few places: with few "
            "votes each, take it for a lower limit."
        )
    if files.fit["behavior"].get("features"):
        text += " Attentiveness is the share of attentive votes of the user, by the features of the votes."
    return f'<p class="quiet">{text}</p>'


def truth(files: ReportFiles) -> str:
    """How close a fit to simulated votes came to what they were drawn from."""
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
    if not entries:
        return "<p>truth.json lies beside the fit, but has other users and models.</p>"
    return "<p>These votes were simulated, so the answer is known.</p>\n" + definitions(entries)


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


def output_files(files: ReportFiles) -> str:
    """The files of the folder and what each means."""
    there = dict.fromkeys(["fit.json", "users.parquet", "comparisons.parquet", "report.html"], True)
    there |= {"covariates.parquet": bool(files.fit["strength"].get("covariates"))}
    there |= {"leaderboard.parquet": files.leaderboard is not None, "truth.json": files.truth is not None}
    there |= {name: (files.folder / name).is_file() for name in _IF_THERE}
    entries = [(f"<code>{name}</code>", prose(text)) for name, text in MEANINGS.items() if there[name]]
    return f'<section id="files">\n<p>The files in this folder</p>\n{definitions(entries)}\n</section>'


def imprint(files: ReportFiles) -> str:
    """The last line: which emjax fitted, and that the page is complete in itself."""
    version = prose(files.fit["emjax"])
    return (
        f"<p>Fitted by emjax {version}. This page is complete in itself and loads nothing. Narrow screens "
        "show fewer columns.</p>"
    )


def definitions(entries: list[tuple[str, str]]) -> str:
    """A list of terms with what they are; both are HTML already.

    Examples
    --------
    >>> definitions([("Steps", "12")])
    '<dl class="plain"><dt>Steps</dt><dd>12</dd></dl>'
    """
    return (
        '<dl class="plain">' + "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in entries) + "</dl>"
    )
