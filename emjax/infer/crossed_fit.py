"""fit_em under item strengths: runs the crossed EM and makes a Fit of where it ends."""

from typing import Any

import jax
import numpy as np

from emjax.data.preferences import Preferences
from emjax.infer.acceleration import Acceleration
from emjax.infer.crossed_em import fit_overlap
from emjax.infer.fit import Fit, summarise_votes
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.standard_errors import no_curvature
from emjax.infer.steps import Model
from emjax.infer.user_item_graph import graph
from emjax.model.item_strength import PerItem
from emjax.model.prior import Attentiveness, moments
from emjax.model.pytree import replace
from emjax.model.response import Behavior, default_behavior


def fit_per_item(
    prefs: Any,
    prior: Attentiveness,
    strength: PerItem,
    behavior: Behavior | None,
    tol: float,
    max_steps: int,
    acceleration: Acceleration,
) -> Fit:
    """`fit_em` where each comparison is an item, a pair of answers that several users judged."""
    with jax.enable_x64(True):
        start = strength.start(prefs)
        behavior = (default_behavior(prefs) if behavior is None else behavior).start(prefs)
        votes, model = graph(prefs, start.index(prefs)), Model(prior, start.bare(), behavior)
        end = fit_overlap(votes, model, tol, max_steps, acceleration)
        fitted = jax.tree.map(lambda x: np.asarray(x)[()], end.model)
        fitted = replace(fitted, prior=fitted.prior.ordered())
        moved = {name: getattr(fitted.strength, name) for name in ("log_weights", "strengths", "penalty")}
        other = fitted.prior.mirrored()
        if other is not None and float(moments(fitted.prior)[0]) < 0.0:
            fitted = replace(fitted, prior=other)
            moved["strengths"] = -moved["strengths"]
        complete = replace(start, **moved)
        curvature = no_curvature(replace(fitted, strength=complete), prefs.n_users)
        value = float(end.swept.value)
    return Fit(
        prior=fitted.prior,
        strength=complete,
        behavior=fitted.behavior,
        log_likelihood=value,
        trace=end.trace,
        em_steps=end.steps,
        newton_steps=0,
        gap=end.gap,
        tol=max(tol, end.rounding),
        step_limit=end.steps >= max_steps,
        curvature=curvature,
        identified=Identifiability(tuple(_findings(prefs, complete)), 0, len(curvature.names), 1.0),
        data=summarise_votes(prefs),
    )


def _findings(prefs: Preferences, strength: PerItem) -> list[Finding]:
    judges = np.bincount(prefs.comparison, minlength=prefs.n_comparisons)
    shared = int((judges > 1).sum())
    found = [
        Finding(
            "note",
            "Users and items are inferred from each other by messages: the log-likelihood is Bethe's "
            "approximation, the optimality gap is estimated from how its gains shrink and has no bound, and "
            "there are no standard errors.",
            "For intervals fit again to resampled users.",
        ),
        Finding(
            "note",
            f"The scale of attentiveness rests on the nodes: no item can be clearer than "
            f"{float(np.max(strength.nodes)):.3g} to an attentive user.",
            "The ranking of users does not depend on it; other nodes rescale attentiveness.",
        ),
    ]
    if shared < max(1, prefs.n_comparisons // 20):
        found.append(
            Finding(
                "warning",
                f"Only {shared:,} of {prefs.n_comparisons:,} items were judged by more than one user: "
                f"overlap says little here.",
                "Use BradleyTerry() where models are named; or collect several votes on the same answers.",
                True,
            )
        )
    return found
