"""VoteFeatures: logistic effect of vote features on the probability of an attentive vote."""

from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.data.comparison_table import ComparisonTable
from emjax.data.strata import VoteStrata
from emjax.errors import ModelError, Renamed
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.parameters import IDENTITY, OneVector, Parameter
from emjax.model.pytree import record, replace, set_fields, static

_REACH = 600.0  # of the log-odds offset: beyond it the odds are 0 or infinite


@record
class VoteFeatures(OneVector):
    """A vote is attentive with log-odds logit η + z·β, where z are the numbers of its stratum.

    Parameters
    ----------
    strata : VoteStrata
        The strata of votes, and the numbers of each; votes that were read with ``vote_features``
        have them as `table.strata`. The context of a vote is its stratum.
    slopes : (D,)
        β, one per number; zeros to start from. The estimates after a fit.
    l2
        Ridge penalty −(l2/2)·Σ β²: the prior β ~ N(0, 1/l2). The default keeps a slope finite where
        no vote of a stratum is an attentive one.
    rows : (C, D)
        The numbers of each comparison; filled in by a fit.

    Raises
    ------
    ModelError
        When `strata` is not a VoteStrata, there is not one finite slope per number, or the ridge is negative.

    Notes
    -----
    η is then a user's attentiveness where all numbers are 0: on average, if they are centred. A number that
    is the same in all votes of a user, as the device may be, serves as well: it moves the user as a whole.
    A limit: numbers are taken as given, and their effect as the same for everybody.

    Source: Cai & Li (arXiv 2510.13830) pose attentiveness per sample as an open question.

    Examples
    --------
    >>> import emjax
    >>> strata = emjax.VoteStrata.given(["quick", "slow"], [-1.0, 1.0], names=["pace"])
    >>> VoteFeatures(strata, slopes=[0.5]).names()
    ('attention by pace',)
    """

    strata: Any = static(default=None, repr=False)
    slopes: Any = None
    l2: float = static(default=0.1)
    rows: Any = None

    kinds = Renamed("strata")  # its name in version 0.1

    parameters = (
        Parameter("slopes", lambda of: tuple(f"attention by {name}" for name in of.strata.names), IDENTITY),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.strata, VoteStrata):
            raise ModelError(
                "VoteFeatures takes the strata of votes (VoteStrata), as votes read with vote_features have "
                f"them in table.strata; got a {type(self.strata).__name__}."
            )
        slopes = np.zeros(len(self.strata.names)) if self.slopes is None else _numbers(self.slopes)
        l2 = _numbers(self.l2)
        if slopes.shape != (len(self.strata.names),) or not np.isfinite(slopes).all():
            raise ModelError(
                f"VoteFeatures needs one finite slope for each of {', '.join(self.strata.names)}; got "
                f"{self.slopes!r}."
            )
        if l2.shape != () or not (np.isfinite(l2) and l2 >= 0):
            raise ModelError(f"VoteFeatures needs a ridge penalty l2 >= 0; got {self.l2!r}.")
        set_fields(self, slopes=slopes, l2=float(self.l2), rows=None)

    def __repr__(self) -> str:
        if self.strata is None:
            return f"VoteFeatures(slopes={np.asarray(self.slopes)})"
        each = zip(self.strata.names, np.asarray(self.slopes), strict=True)
        return f"VoteFeatures({', '.join(f'{name}: {slope:.3g}' for name, slope in each)})"

    def on(self, table: ComparisonTable) -> Self:
        """With the numbers of each comparison of these votes, and zeros for gold questions."""
        if table.contexts is None:
            raise ModelError(
                "features of votes need votes that were read with them, as read_votes and aggregate do: give "
                "vote_features=fit.strata."
            )
        known = 0 if table.anchor_votes is None else len(table.anchor_votes.accuracy)
        rows = self.strata.rows_of(table.contexts)
        return replace(self, strata=None, rows=np.concatenate([rows, np.zeros((known, rows.shape[1]))]))

    def of_first(self, n: int) -> Self:
        """For the first comparisons alone."""
        return replace(self, rows=self.rows[:n])

    def tilts(self) -> Float[AnyArray, " comparisons"]:
        """z·β of every comparison."""
        xp = namespace(self.rows, self.slopes)
        return xp.asarray(self.rows) @ xp.asarray(self.slopes)

    def log_prior(self) -> Float[AnyArray, ""]:
        """Log density of the slopes, up to a constant."""
        return -0.5 * self.l2 * namespace(self.slopes).sum(self.slopes**2)


def _numbers(values: Any) -> np.ndarray:
    """An array of numbers; not a number for what is none."""
    try:
        return np.array(values, float)
    except (TypeError, ValueError):
        return np.array(np.nan)


def tilted(eta: Any, rest: Any, tilt: Any, xp: Any = jnp) -> tuple[Any, Any]:
    """η and 1 − |η| when the odds of an attentive vote are multiplied by `e^tilt`; exact at 0 and 1."""
    grown = xp.exp(0.5 * xp.clip(tilt, -_REACH, _REACH))
    looks, idle = xp.where(eta < 0.0, -eta, eta) * grown, rest / grown
    total = looks + idle
    return eta * grown / total, idle / total
