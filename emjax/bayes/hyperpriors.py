"""Hyperpriors: the prior distributions of the parameters that `fit_bayes` estimates."""

from dataclasses import dataclass, fields

import numpy as np

from emjax.errors import ModelError


@dataclass(frozen=True)
class Hyperpriors:
    """Weakly informative priors of everything that `fit_bayes` estimates, the strengths' own priors aside.

    The Beta priors of `Shared` and `PerPair` are part of the strengths themselves (`Shared(prior=(8, 2))`,
    as in the paper), so they are not repeated here.

    Parameters
    ----------
    gaps
        Support points of TwoPoint and Points: the gaps 0 to low, low to high, high to 1 are Dirichlet with
        this number each. 1, the default, makes all ordered points equally likely.
    weights
        Their weights: Dirichlet with this number each. 1 makes all weights equally likely.
    median, log_sd
        Beta: a and b are lognormal with this median and this standard deviation of the logarithm. The
        default puts 95 % of a, and of b, between 0.28 and 14. What lies beyond 0.05 or 200 counts as these.
    grid
        Grid: the weights are Dirichlet with this number in all, spread evenly over the grid. The default
        counts as much as sixteen users whose attentiveness was observed and evenly spread.
    spread
        BradleyTerry: strengths are normal around 0 with one unknown standard deviation, which is half-normal
        with this scale, in log-odds. It takes the place of the fixed ridge `l2`.
    context
        BradleyTerry(l2_context): strengths in a context are normal around the model's own with one unknown
        standard deviation, which is half-normal with this scale. It takes the place of `l2_context`.
    behavior
        Response models: guess rate and share of careless ties on the logit scale, and the parameter of a rule
        for ties on the log scale, are normal around 0 with this standard deviation. Slopes of vote features
        have their own ridge, `VoteFeatures(l2=)`.

    Raises
    ------
    ModelError
        When a number is not positive and finite.

    Notes
    -----
    With many users they matter only where the votes determine nothing; there they are the answer. With few
    users, try others and see what changes.

    Examples
    --------
    >>> Hyperpriors(spread=1.0).spread
    1.0
    """

    gaps: float = 1.0
    weights: float = 1.0
    median: float = 2.0
    log_sd: float = 1.0
    grid: float = 16.0
    spread: float = 2.0
    context: float = 1.0
    behavior: float = 1.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            try:
                good = bool(np.isfinite(value) and value > 0)
            except (TypeError, ValueError):
                good = False
            if not good:
                raise ModelError(f"Hyperpriors({field.name}=) is a positive number; got {value!r}.")
            object.__setattr__(self, field.name, float(value))
