"""Covariates: differences between two answers, such as in length, that move the log-odds of a vote."""

from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from emjax.data.comparison_table import ComparisonTable
from emjax.data.strata import VoteStrata
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.parameters import IDENTITY, OneVector, Parameter
from emjax.model.pytree import record, replace, set_fields, static


@record
class Covariates(OneVector):
    """An attentive user prefers A with log-odds s_a − s_b + x·γ, where x are the covariates of the vote.

    Parameters
    ----------
    strata : VoteStrata
        The strata of votes, with covariates; votes that were read with ``covariates`` have them as
        `table.strata`.
    slopes : (d,)
        γ, one per covariate, per root mean square of its differences; zeros to start from. The estimates
        after a fit.
    l2
        Ridge penalty −(l2/2)·Σ γ²: the prior γ ~ N(0, 1/l2), apart from that of the strengths.
    table : (d, B)
        The number of each bin; filled in by itself.

    Raises
    ------
    ModelError
        When `strata` has no covariates, there is not one finite slope for each, or the ridge is negative.

    Notes
    -----
    Strengths are compared at equal covariates. A slope is an association: what length does to a vote, and
    what better answers have besides length, are not distinguished. A limit: the effect is linear, and the
    same for all attentive users. Source: the covariates are those of style control in leaderboards (Li,
    Angelopoulos & Chiang, "Does style matter?", 2024), here with attentiveness.

    Examples
    --------
    >>> import emjax
    >>> strata = emjax.VoteStrata.cut(covariates={"length": [-10, 0, 10, 30]})
    >>> emjax.Covariates(strata, slopes=[0.4]).names()
    ('effect of length',)
    """

    strata: Any = static(default=None, repr=False)
    slopes: Any = None
    l2: float = static(default=0.1)
    table: Any = None

    parameters = (
        Parameter("slopes", lambda of: tuple(f"effect of {name}" for name in of.strata.covariates), IDENTITY),
    )

    def __post_init__(self) -> None:
        if not (isinstance(self.strata, VoteStrata) and self.strata.covariates):
            raise ModelError(
                "Covariates takes the strata of votes that were read with covariates, as they have them in "
                f"table.strata; got {self.strata!r}."
            )
        cuts = [cut for cut in self.strata.cuts if cut.signed]
        try:
            slopes = np.zeros(len(cuts)) if self.slopes is None else np.array(self.slopes, dtype=np.float64)
            l2 = float(self.l2)
        except (TypeError, ValueError):
            slopes, l2 = np.zeros(0), np.nan
        if slopes.shape != (len(cuts),) or not np.isfinite(slopes).all():
            raise ModelError(
                f"Covariates needs one finite slope for each of {', '.join(self.strata.covariates)}; got "
                f"{self.slopes!r}."
            )
        if not (np.isfinite(l2) and l2 >= 0):
            raise ModelError(f"Covariates needs a ridge penalty l2 >= 0; got {self.l2!r}.")
        table = np.zeros((len(cuts), max(cut.n_bins for cut in cuts)))
        for row, cut in zip(table, cuts, strict=True):
            row[: cut.n_bins] = np.array(cut.values)[:, 0]
        set_fields(self, slopes=slopes, l2=l2, table=table)

    def __repr__(self) -> str:
        """Show the slopes by name."""
        if self.strata is None:
            return f"Covariates(slopes={np.asarray(self.slopes)})"
        each = zip(self.strata.covariates, np.asarray(self.slopes), strict=True)
        return f"Covariates({', '.join(f'{name}: {slope:.3g}' for name, slope in each)})"

    def index(self, table: ComparisonTable) -> np.ndarray:
        """(C, d) the bin of each covariate of each comparison, for A as it is listed there."""
        if table.contexts is None:
            raise ModelError(
                "covariates need votes that were read with them, as read_votes and aggregate do: give "
                "vote_features=fit.strata."
            )
        bins = list(self.strata.bins_of(table.contexts).T)
        names = table.comparisons.astype(str)
        bins = self.strata.mirrored(bins, names[:, 0] > names[:, 1])
        return np.stack(
            [each for cut, each in zip(self.strata.cuts, bins, strict=True) if cut.signed], axis=1
        )

    def values(self, bins: Int[AnyArray, "rows covariates"]) -> Float[AnyArray, "rows covariates"]:
        """The covariates of each comparison, from its bins."""
        xp = namespace(self.table, bins)
        return xp.asarray(self.table)[np.arange(bins.shape[1])[None], bins]

    def bare(self) -> Self:
        """Without names, so that compiled code is shared between data sets."""
        return replace(self, strata=None)


def covariates_of(table: ComparisonTable, given: Covariates | None) -> Covariates | None:
    """The covariates of these votes, with the slopes that are known of them."""
    if table.strata is None or not table.strata.covariates:
        if given is not None:
            raise ModelError("the strength has covariates, and these votes were read without any.")
        return None
    if given is None:
        return Covariates(table.strata)
    if given.strata.covariates != table.strata.covariates:
        raise ModelError(
            f"the strength has the covariates {', '.join(given.strata.covariates)}, and these votes "
            f"{', '.join(table.strata.covariates)}."
        )
    return Covariates(table.strata, given.slopes, given.l2)
