"""What votes can and cannot determine under a model, in words, with the remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from emjax.data.comparison_table import ComparisonTable, n_pairs
from emjax.infer.leaderboard import order_errors
from emjax.infer.linear_algebra import flat_directions
from emjax.infer.newton import schur
from emjax.infer.scale_invariance import scale_is_free
from emjax.infer.standard_errors import Curvature, StandardErrors, standard_errors, undetermined
from emjax.infer.summaries import counted
from emjax.model.prior import Attentiveness, moments
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_ILL_CONDITIONED = 1e6
_MOST_MODELS = 2000  # up to which covariates are compared with models
_OWN = 0.1  # share of a covariate within pairs, below which its effect is hardly determined
_RESOLVED = 0.726  # votes of one user, times the widest node squared, up to which nodes are fine enough

_LOOSE_SCALE = 0.2  # standard error of a common factor of all strengths, from which on it is said
_FEW_NODES = 3.0  # effective nodes of a density below which its integral is not exact
_TOO_CLOSE = 1e-3  # nodes nearer than this resolve what votes can tell of attentiveness


@dataclass(frozen=True)
class Finding:
    """Something the votes do not determine: what it is, and the remedy.

    `level` is "note" where the result stands and one should know, "warning" where it could mislead.
    `undetermined` says that some parameter is set by a prior or by the start, not by the votes. `about` is
    "scale" where the scale of attentiveness is open, or hardly determined, "bound" where an estimate is at
    the end of its range, and "errors" where it is standard errors that have a fault or are missing.

    Examples
    --------
    >>> Finding("note", "There is little to see.", "Look again.").level
    'note'
    """

    level: Literal["note", "warning"]
    what: str
    remedy: str
    undetermined: bool = False
    about: Literal["", "scale", "bound", "errors"] = ""


@dataclass(frozen=True, repr=False)
class Identifiability:
    """What the votes determine of a model.

    Attributes
    ----------
    findings : what they do not determine, and the remedy for each
    rank, n_parameters : of the information matrix; less rank than parameters means that combinations of
        them are not determined (the level of Bradley–Terry strengths, which is a convention, is not counted)
    condition : largest over smallest curvature of the scaled information, flat directions aside

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([8, 5, 6, 2], [10, 10, 10, 10])
    >>> emjax.identifiability(prefs, emjax.TwoPoint(), strength=emjax.Known(0.74)).identified
    True
    """

    findings: tuple[Finding, ...]
    rank: int
    n_parameters: int
    condition: float

    @property
    def identified(self) -> bool:
        """Whether every parameter is determined by the votes, and none is at the end of its range."""
        return not any(f.undetermined or f.about == "bound" for f in self.findings)

    @property
    def open_scale(self) -> str:
        """What an open scale of attentiveness does to numbers that rest on it, in a line; "" where it is not.

        Label accuracies, thresholds, and shares of users below a value all rest on it.
        """
        about = [f for f in self.findings if f.about == "scale"]
        if not about:
            return ""
        how = "not" if any(f.undetermined for f in about) else "hardly"
        return (
            f"the scale of attentiveness is {how} determined by the votes that were fitted: label accuracy, "
            "thresholds, and shares of users below a value such as 1/2 rest on an assumption, and can be far "
            "off; the order of users and fractions of them do not depend on it"
        )

    def __repr__(self) -> str:
        head = (
            f"information of rank {self.rank} for {self.n_parameters} parameters, "
            f"condition {self.condition:.3g}"
        )
        if not self.findings:
            return (
                f"Everything in this model is determined by these votes, as closely as standard errors say "
                f"({head})."
            )
        return "\n".join([f"{f.level}: {f.what} {f.remedy}" for f in self.findings] + [f"({head})"])


def examine(
    table: ComparisonTable, prior: Attentiveness, strength: Strength, behavior: Behavior, at: Curvature
) -> Identifiability:
    """Findings at a model, fitted or not, from the votes' design and the scores' rank."""
    rank, n, gauge, condition = _spectrum(prior, strength, at)
    se = standard_errors(at)
    found = [
        *_about_votes(table, prior, strength),
        *_about_nodes(prior),
        *_about_reading(table, strength),
        *_about_scale(table, prior, strength, behavior, se, is_open=bool(at.unscaled.any())),
        *_about_components(strength),
        *_about_covariates(table, strength),
        *_about_grid(table, prior),
    ]
    if rank + gauge < n and not any(f.undetermined for f in found):
        found.append(_rank_finding(se))
    elif condition > _ILL_CONDITIONED and not any(f.undetermined for f in found):
        found.append(
            Finding(
                "note",
                f"The information matrix is nearly singular (condition number about "
                f"{float(f'{condition:.0e}'):,.0f}): some combination of parameters is hardly determined.",
                "Look at the standard errors; more votes per user, or a known strength, would help.",
                about="errors",
            )
        )
    found.extend(_about_bounds(se, prior, strength, behavior))
    if at.names and not at.jacobian.shape[1]:
        found.append(
            Finding(
                "note",
                f"{len(at.names):,} parameters are more than standard errors are computed for here: there "
                "are estimates without intervals, and directions that the votes leave open are not searched.",
                "Fit again to resampled users; or use a strength with fewer parameters, as BradleyTerry().",
                about="errors",
            )
        )
    return Identifiability(tuple(found), rank, n - gauge, condition)


def _spectrum(prior: Attentiveness, strength: Any, at: Curvature) -> tuple[int, int, int, float]:
    """Rank, size and condition of the scaled information, and how many directions are flat by convention.

    Weights on a grid are determined through moments only and have a finding of their own: there the
    strengths alone are considered, whatever the weights.
    """
    gauge = len(np.unique(strength.components)) if strength.model_names else 0
    considered = np.ones(len(at.outer), dtype=bool)
    matrix = at.outer if at.n_users > len(at.outer) else at.observed
    if prior.weights_are_solved:
        considered = ~at.held
        flat = undetermined(at, considered)[at.of_strength[considered]]
        order = np.append(np.flatnonzero(at.of_strength), np.flatnonzero(considered & ~at.of_strength))
        matrix = schur(matrix[np.ix_(order, order)], int(at.of_strength.sum()))
    else:
        flat = undetermined(at, considered)
    if not matrix.size:
        return 0, 0, 0, 1.0
    n_flat = int(np.linalg.matrix_rank(flat, tol=1e-5)) if flat.size else 0
    curved = flat_directions(matrix)[1][n_flat:]
    curved = curved[curved > 0]
    condition = float(curved[-1] / curved[0]) if curved.size else 1.0
    return len(matrix) - n_flat, len(matrix), gauge, condition


def _about_votes(table: ComparisonTable, prior: Attentiveness, strength: Strength) -> Iterator[Finding]:
    most = int(table.most_votes)
    resolved = _resolved(prior)
    if most > resolved:
        yield Finding(
            "warning",
            f"A user has {most:,} votes: beyond {resolved:,.0f} the likelihood of one user is narrower than "
            f"the nodes of the prior resolve.",
            "Use Grid() with nodes where such users are, or take a part of their votes.",
        )
    if not prior.parameters:
        return
    if table.n_users == 1:
        yield Finding(
            "warning",
            "There is one user, so the spread of attentiveness over users cannot be estimated.",
            "Add the votes of other users.",
            True,
        )
    if most <= 1:
        yield Finding(
            "warning",
            "No user has more than one vote, so only mean attentiveness can be estimated, not each user's.",
            "Collect at least three votes from a good part of the users.",
            True,
        )
        return
    needed = prior.votes_needed(scale_is_known=not strength.is_shared)
    if most < needed:
        yield Finding(
            "warning",
            f"{type(prior).__name__} needs users with at least {needed} votes; no user has more than {most}.",
            "Use a prior with fewer parameters, or collect more votes per user.",
            True,
        )


def _about_nodes(prior: Attentiveness) -> Iterator[Finding]:
    """A density so narrow that its nodes, which stay where they are, do not follow it.

    The rule's error for a normal density is that of its effective number of nodes: 1e-6 for three of them,
    and 1 % for 1.8.
    """
    if not prior.continuous:
        return
    with jax.enable_x64(True):
        at = jax.tree.map(lambda x: np.asarray(x)[()], prior)
        eta, weights = np.asarray(at.nodes().eta), np.exp(np.asarray(at.log_weights()))
        apart = np.exp(np.asarray(at.log_spacing()))
    most = int(np.argmax(weights))
    if 1.0 / np.sum(weights**2) < _FEW_NODES and apart[most] > _TOO_CLOSE:
        yield Finding(
            "warning",
            f"The {type(prior).__name__} is narrower than its nodes are apart ({apart[most]:.2g} at "
            f"attentiveness {eta[most]:.2g}): its integral, and all that was fitted with it, are wrong.",
            "Use Points(1), where users are alike, or TwoPoint(); or give the class nodes that are closer "
            "there (emjax.Attentiveness).",
        )


def _resolved(prior: Attentiveness) -> float:
    """How many votes of one user the nodes of a density are fine enough for; 2,000 for those of a Beta.

    The likelihood of n votes is about 1/√n wide.
    """
    spacing = prior.log_spacing()
    if spacing is None:
        return np.inf
    return float(f"{_RESOLVED * np.exp(-2.0 * np.max(np.asarray(spacing))):.2g}")


def _about_scale(
    table: ComparisonTable,
    prior: Attentiveness,
    strength: Strength,
    behavior: Behavior,
    se: StandardErrors,
    *,
    is_open: bool,
) -> Iterator[Finding]:
    if table.anchor_votes is not None:
        return  # questions of known strength settle the scale
    remedy = "If you know how often an attentive user prefers the better model, say Known(that)."
    if not strength.model_names:
        remedy += " Models compared in a cycle (A-B, B-C, C-A) under BradleyTerry determine it too."
    elif strength.margins_are_free:
        remedy += " Votes that close a cycle (A-B, B-C, C-A) determine it too."
    if is_open or scale_is_free(prior, strength, behavior):
        distinguished = table.most_votes > 1 and _spread(prior) > 1e-3
        margin = "the log-odds of the strength" if behavior.depends_on == "log-odds" else "(strength - 1/2)"
        yield Finding(
            "note",
            "The scale of attentiveness is not determined by these votes: only attentiveness times "
            f"{margin} is determined, and the strength's prior sets the scale. "
            + ("The ranking of users stands; an" if distinguished else "An")
            + " absolute threshold on attentiveness does not"
            + ("." if distinguished else " stand."),
            remedy,
            True,
            about="scale",
        )
    elif any(e.at_edge_of_density for e in se) and len(strength.coordinates()):
        yield Finding(
            "note",
            f"The scale of attentiveness, and of the strengths, rests on a {type(prior).__name__} that is at "
            "the edge of its range: both can be further off than standard errors say.",
            remedy,
            about="scale",
        )
    elif strength.model_names and (scale := order_errors(strength, se).scale) > _LOOSE_SCALE:
        yield Finding(
            "note",
            "The common scale of the strengths, and with it that of attentiveness, is hardly determined: a "
            f"factor of all strengths has a standard error of {scale:.2g}. The order of models and of users "
            "does not depend on it.",
            remedy,
            about="scale",
        )
    elif (_is_fitted_density(prior) or behavior.features is not None) and strength.margins_are_free:
        errors = [e for e in se if "strength" in e.name]
        # In a Bradley-Terry strength a tenth in the probability is four tenths in the logit, or more.
        loose = 0.4 if strength.model_names else 0.1
        worst = max((e.std_err for e in errors), key=lambda se: np.inf if np.isnan(se) else se)
        if not worst <= loose:
            known = f"{worst:.2f}" if np.isfinite(worst) else "not finite"
            owner = type(prior).__name__
            shows = f"under a {owner} prior the scale of attentiveness shows only in the few users near 1"
            if behavior.features is not None:
                shows = "the scale of attentiveness shows only in how the slopes level off near 0 and 1"
            yield Finding(
                "note",
                f"The strength is hardly determined (standard error {known}): {shows}.",
                remedy,
                not np.isfinite(worst),
                about="scale",
            )


def _is_fitted_density(prior: Attentiveness) -> bool:
    return prior.continuous and len(prior.shape()) > 0


def _spread(prior: Attentiveness) -> float:
    with jax.enable_x64(True):
        return float(moments(prior)[1])


def _about_reading(table: ComparisonTable, strength: Strength) -> Iterator[Finding]:
    if not strength.is_shared or not table.has_models or n_pairs(table) == 1:
        return
    both = int((table.shown.min(axis=1) > 0).sum())
    if both:
        yield Finding(
            "warning",
            f"Shared takes the first model of every pair for the stronger one, and {both} of "
            f"{table.n_comparisons} comparisons were shown both ways round.",
            "Use BradleyTerry() for several models, or list the stronger model first in every row.",
        )


def _about_components(strength: Any) -> Iterator[Finding]:
    if not strength.model_names:
        return
    components = np.asarray(strength.components)
    count = len(np.unique(components))
    if count > 1 and strength.l2_context is None:
        members = [
            [m for m, p in zip(strength.models, components, strict=True) if p == i] for i in range(count)
        ]
        members.sort(key=len, reverse=True)
        shown = "; ".join(
            ", ".join(group[:4]) + (f" and {len(group) - 4} more" if len(group) > 4 else "")
            for group in members[:4]
        )
        yield Finding(
            "warning",
            f"The comparisons fall into {count} connected components that share no model ({shown}), so "
            f"strengths are relative within a component.",
            "Rank models within a component only, or add votes between the components.",
            True,
        )


def _about_covariates(table: ComparisonTable, strength: Strength) -> Iterator[Finding]:
    """Covariates that are the same in nearly all votes on a pair: what they do, models can do."""
    covariates = getattr(strength, "covariates", None)
    if covariates is None or len(strength.model_names) > _MOST_MODELS:
        return
    design = strength.design(strength.index(table))
    votes, size = table.votes_by_comparison().sum(axis=1), len(strength.model_names)
    gram = np.asarray(design.weighted_gram(votes))
    own = np.diag(gram)[size:]
    models = np.linalg.pinv(gram[:size, :size], rcond=1e-10, hermitian=True)
    left = own - np.einsum("ij,ik,kj->j", gram[:size, size:], models, gram[:size, size:])
    for name, share in zip(covariates.strata.covariates, left / np.maximum(own, 1e-300), strict=True):
        if share < _OWN:
            yield Finding(
                "warning",
                f"The covariate {name} is nearly the same in all votes on a pair of models: {share:.1%} of "
                "its variation is within pairs, so its effect and the strengths are hardly distinguished, "
                "and what is left of it in bins biases the effect toward 0.",
                "Leave it out, or take one that varies between the answers of a model; more covariate_bins "
                "lessen the bias.",
                bool(share < 1e-9),
            )


def _about_grid(table: ComparisonTable, prior: Attentiveness) -> Iterator[Finding]:
    if not prior.weights_are_solved:
        return
    most = int(table.most_votes)
    if table.n_comparisons == 1 and len(prior.nodes().eta) > most + 1:
        yield Finding(
            "note",
            f"With at most {counted(most, 'vote')} per user only {counted(most, 'moment')} of attentiveness "
            f"can be estimated, fewer than the grid has points: the fitted likelihood is unique, the weights "
            "are not.",
            "Read means and shares off the fit, not single weights; a Beta or a coarser Grid is smoother.",
        )


def _rank_finding(se: StandardErrors) -> Finding:
    loose = [e.name for e in se if np.isnan(e.std_err)]
    shown = ", ".join(loose[:6]) + (f" and {len(loose) - 6} more" if len(loose) > 6 else "")
    return Finding(
        "warning",
        f"Some combination of parameters leaves the likelihood unchanged{f' ({shown})' if loose else ''}.",
        "Use a prior with fewer parameters or a known strength, or collect more votes per user.",
        True,
    )


def at_bound(where: str, said: tuple[str, str]) -> Finding:
    """The finding of a parameter at the end of its range whose class says why, and what to do.

    Examples
    --------
    >>> found = at_bound("guess = 1 (at its upper bound)", ("A few users are why.", "Leave them out."))
    >>> found.what, found.remedy
    ('guess = 1 (at its upper bound). A few users are why.', 'Leave them out.')
    """
    return Finding("note", f"{where}. {said[0]}", said[1], about="bound")


def _about_bounds(
    se: StandardErrors, prior: Attentiveness, strength: Strength, behavior: Behavior
) -> Iterator[Finding]:
    known = prior.at_bounds() | strength.at_bounds() | behavior.at_bounds()
    stuck = [e for e in se if e.at_bound and not e.at_edge_of_density]
    for e in stuck:
        if e.name in known:
            yield at_bound(f"{e.name} = {round(e.estimate, 4):g} ({e.note})", known[e.name])
    stuck = [e for e in stuck if e.name not in known]
    if stuck:
        names = ", ".join(f"{e.name} = {round(e.estimate, 4):g} ({e.note})" for e in stuck[:6])
        more = f" and {len(stuck) - 6} more" if len(stuck) > 6 else ""
        yield Finding(
            "note",
            f"The estimate is at the edge of what is possible: {names}{more}. No value inside its range fits "
            "these votes better, and a standard error cannot say how far inside values fit nearly as well.",
            'Report it as "at its bound"; more votes, or fits to resampled users, show how far from it the '
            "truth may be.",
            about="bound",
        )
    if any(e.at_edge_of_density for e in se):
        values = " and ".join(f"{e.name} = {e.estimate:.4g}" for e in se if e.name in prior.names())
        yield Finding(
            "note",
            f"The {type(prior).__name__} is at the edge of its range ({values}). The other standard errors "
            "take it as known, and can be too small.",
            "Use Grid(), which can take any distribution, or TwoPoint().",
            about="bound",
        )
