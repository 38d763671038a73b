"""Notes of a printed Bayesian fit: what the votes leave open, in words about draws."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from emjax.infer.identifiability import Finding, at_bound
from emjax.model.model import Model

_NEAR = 0.02  # by so much a draw is at most off the end of a range that it counts as at its end

_HARDLY = (
    "The scale of attentiveness is hardly determined by these votes: attentiveness and strengths are "
    "uncertain together, and their hyperpriors matter."
)


def notes_on_draws(fit: Any) -> Iterator[str]:
    """Lines on what the votes of a `BayesFit` leave open.

    What the EM fit says of its standard errors, and of estimates at a bound, does not hold of draws.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(1, n_users=1000, votes_per_user=20, prior=emjax.Beta(3, 5))
    >>> fit = emjax.fit_bayes(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74),
    ...                       num_warmup=500, num_samples=1000, num_chains=2, key=0)
    >>> list(notes_on_draws(fit))
    []
    """
    for finding in fit.em.identified.findings:
        if finding.about == "scale" and not finding.undetermined:
            yield f"{finding.level}: {_HARDLY}"
        elif finding.about not in ("bound", "errors"):
            yield f"{finding.level}: {finding.what}"
    yield from (f"{finding.level}: {finding.what} {finding.remedy}" for finding in piled_up(fit))


def piled_up(fit: Any) -> Iterator[Finding]:
    """Findings of parameters of which half of the draws are at an end of their range, with the reason."""
    parts = fit.em.prior, fit.em.strength, fit.em.behavior
    said = {name: why for part in parts for name, why in part.at_bounds().items()}
    for place, (name, ends) in enumerate(zip(fit.names, Model(*parts).limits(), strict=True)):
        drawn = fit.draws.natural[..., place]
        for end in ends if name in said else ():
            if np.median(np.abs(drawn - end)) < _NEAR:
                where = f"{name}: half of the draws are within {_NEAR:g} of {end:g}, the end of its range"
                yield at_bound(where, said[name])
