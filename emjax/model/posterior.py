"""Posterior: distribution of each user's attentiveness given the votes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emjax.data.preferences import Preferences
from emjax.errors import ModelError
from emjax.model.attention_covariates import tilted


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """Posterior distribution of attentiveness, one row per user, on the nodes of the prior.

    Made by `Fit.posterior`; anything else that fills its arrays serves as well. Users with the same votes
    share a row of `probabilities`.

    Attributes
    ----------
    users : (m,) ids
    eta : (G,) nodes of attentiveness, ascending
    probabilities : (n, G), rows sum to one
    row : (m,) int, the row of `probabilities` each user has
    log_spacing : (G,) or None
        Log of dη between nodes where the prior is a density; None where it is a set of points.
    has_mode : bool
        False where the density is infinite at an end, so that it has no meaningful mode.
    log_votes : (C, O, G) or None
        log P(outcome | comparison, node), for leaving votes out.
    prefs : Preferences or None
        The votes it was made from.
    log_left, leaning : (C, O, G), (C, O), or None
        Under `PerItem` strengths, where a vote informs about its own item: log P(outcome | comparison, node)
        given the votes of the others, and how far the others favour A, averaged over those who gave it.
    careless : (O,) or None
        Probability of each outcome in a careless vote; None if votes are not a mixture.
    tilts, looks : (C,), (n, G), or None
        With features of votes: the log-odds offset of an attentive vote in each comparison; and the share
        of attentive votes in each row, if η is at a node.
    open_scale : str
        Where the scale of attentiveness is open in the fit: a line that says so, for all that uses absolute
        values. Else "".

    Notes
    -----
    With features η is attentiveness where they are 0. The summaries of a user (`mean`, `mode`, `interval`, …)
    are then of the share of attentive votes among the user's, and for a vote left out, of its probability
    to be attentive.
    It is conditional on the fitted prior and strengths: their uncertainty is not in it, which matters with
    few users.

    Examples
    --------
    >>> import emjax, numpy as np
    >>> prefs = emjax.Preferences.from_counts([9, 5, 1], [10, 10, 10])
    >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.9))
    >>> fit.posterior(prefs).mean.round(2)
    array([0.65, 0.35, 0.2 ])
    """

    users: np.ndarray
    eta: np.ndarray
    probabilities: np.ndarray
    row: np.ndarray
    log_spacing: np.ndarray | None = None
    has_mode: bool = True
    log_votes: np.ndarray | None = None
    prefs: Preferences | None = None
    log_left: np.ndarray | None = None
    leaning: np.ndarray | None = None
    careless: np.ndarray | None = None
    tilts: np.ndarray | None = None
    looks: np.ndarray | None = None
    open_scale: str = ""

    @cached_property
    def mean(self) -> np.ndarray:
        """(m,) posterior mean E[η]: the attentiveness to quote, and the best weight of a user's vote."""
        return self._row_mean[self.row]

    @cached_property
    def sd(self) -> np.ndarray:
        """(m,) posterior standard deviation."""
        deviation = (self._nodes - self._row_mean[:, None]) ** 2
        return np.sqrt((self.probabilities * deviation).sum(axis=1))[self.row]

    @cached_property
    def mode(self) -> np.ndarray:
        """(m,) maximum a posteriori value; NaN where the density is infinite at an end."""
        if not self.has_mode:
            return np.full(len(self.row), np.nan)
        if self.log_spacing is None:
            at = self.probabilities.argmax(axis=1)
            return np.broadcast_to(self._nodes, self.probabilities.shape)[np.arange(len(at)), at][self.row]
        return self._as_share(self._density_mode())[self.row]

    @cached_property
    def flip_rate(self) -> np.ndarray:
        """(m,) expected share of votes against what the user would choose attentively: (1 − E[η])/2."""
        return 0.5 * (1.0 - self.mean)

    def prob_above(self, threshold: float) -> np.ndarray:
        """(m,) posterior probability that η ≥ threshold.

        Under a density the node that straddles the threshold is shared out in proportion.
        """
        if self.looks is not None:
            return (self.probabilities * self._above(threshold)).sum(axis=1)[self.row]
        return (self.probabilities @ self._above(threshold)[0])[self.row]

    def _above(self, level: float) -> np.ndarray:
        """(n, G) or (1, G): the share of each node that lies above a level."""
        if self.log_spacing is None:
            return (self._nodes >= level - 1e-12).astype(float)
        edges = self._edges()
        return np.clip((edges[:, 1:] - level) / np.maximum(np.diff(edges), 1e-300), 0.0, 1.0)

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """(m,), (m,): equal-tailed interval that holds η with posterior probability `level`.

        Under a set of points it ends at points, and holds at least `level`.
        """
        if not 0 < level < 1:
            raise ModelError(f"an interval's level lies between 0 and 1; got {level!r}.")
        tail = 0.5 * (1.0 - level)
        return self._quantile(tail)[self.row], self._quantile(1.0 - tail)[self.row]

    def leave_one_out(
        self,
        user: np.ndarray,
        comparison: np.ndarray,
        outcome: np.ndarray,
        size: np.ndarray | float = 1.0,
    ) -> "Posterior":
        """The posterior that each vote's user would have without that vote; one row per vote.

        Parameters
        ----------
        user, comparison, outcome : (n,) int
            Positions in `users` and in the comparisons of the votes; outcome 0 if A won, 1 if B won.
        size : float or (n,)
            How much of a vote to leave out: ½ for either half of a tie.

        Notes
        -----
        A user is judged attentive partly because his votes went to the stronger model; judging a vote by
        the user's other votes takes that bias away.
        """
        if self.log_votes is None:
            raise ModelError("this Posterior does not know P(vote | node), so no vote can be left out.")
        user = np.asarray(user)
        size = np.broadcast_to(np.asarray(size, float), user.shape)
        left = self.log_votes if self.log_left is None else self.log_left
        other = self.probabilities[self.row[user]] * np.exp(-size[:, None] * left[comparison, outcome])
        return Posterior(
            users=self.users[user],
            eta=self.eta,
            probabilities=other / other.sum(axis=1, keepdims=True),
            row=np.arange(len(user)),
            log_spacing=self.log_spacing,
            has_mode=self.has_mode,
            log_votes=self.log_votes,
            looks=None if self.tilts is None else self.looking(comparison)[0],
            open_scale=self.open_scale,
        )

    def looking(self, comparison: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The attentiveness that each node stands for in votes on some comparisons, and its complement.

        Parameters
        ----------
        comparison : (n,) int
            Positions in the comparisons of the votes.

        Returns
        -------
        (n, G), (n, G)
            Or (1, G) each, without features. A node below 0 stays below 0; the complement is the share of
            careless votes.
        """
        eta, rest = self.eta[None, :], 1.0 - np.abs(self.eta[None, :])
        return (eta, rest) if self.tilts is None else tilted(eta, rest, self.tilts[comparison][:, None], np)

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        careless = float((self.mean < 0.5).mean())
        return (
            f"Posterior of {len(self):,} users: mean attentiveness {self.mean.mean():.3f}, "
            f"{careless:.1%} of the users below 0.5"
            + (f"\nnote: {self.open_scale}" if self.open_scale else "")
        )

    @cached_property
    def _row_mean(self) -> np.ndarray:
        if self.looks is None:
            return self.probabilities @ self.eta
        return (self.probabilities * self.looks).sum(axis=1)

    @property
    def _nodes(self) -> np.ndarray:
        """(n, G) or (1, G): the attentiveness that each node stands for in a row, ascending."""
        return self.eta[None, :] if self.looks is None else self.looks

    def _as_share(self, eta: np.ndarray) -> np.ndarray:
        """(n,) values between nodes, one per row, as attentiveness in the votes of the row."""
        if self.looks is None:
            return eta
        above = np.searchsorted(self.eta, eta).clip(1, len(self.eta) - 1)
        share = (eta - self.eta[above - 1]) / (self.eta[above] - self.eta[above - 1])
        low, high = (self.looks[np.arange(len(eta)), at] for at in (above - 1, above))
        return low + share.clip(0.0, 1.0) * (high - low)

    def _edges(self) -> np.ndarray:
        nodes = self._nodes
        middles = 0.5 * (nodes[:, 1:] + nodes[:, :-1])
        return np.pad(middles, ((0, 0), (1, 1)), constant_values=((0.0, 0.0), (0.0, 1.0)))

    def _quantile(self, p: float) -> np.ndarray:
        cumulative = np.cumsum(self.probabilities, axis=1)
        at = np.minimum((cumulative < p - 1e-12).sum(axis=1), len(self.eta) - 1)
        rows = np.arange(len(at))
        mine = rows if self.looks is not None else np.zeros_like(rows)
        if self.log_spacing is None:
            return self._nodes[mine, at]
        edges = self._edges()
        inside = self.probabilities[rows, at]
        share = np.clip((p - (cumulative[rows, at] - inside)) / np.maximum(inside, 1e-300), 0.0, 1.0)
        return edges[mine, at] + share * (edges[mine, at + 1] - edges[mine, at])

    def _density_mode(self) -> np.ndarray:
        """The highest node, then the top of the parabola through it and its neighbours."""
        assert self.log_spacing is not None
        with np.errstate(divide="ignore"):
            density = np.log(self.probabilities) - self.log_spacing[None, :]
        # Far out, probabilities underflow together with the spacing: no mode is there.
        density = np.where(self.probabilities > 1e-280, density, -np.inf)
        rows, last = np.arange(len(density)), len(self.eta) - 1
        top = density.argmax(axis=1)
        centre = np.clip(top, 1, last - 1)
        left, middle, right = (density[rows, centre + i] for i in (-1, 0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            bend = left - 2.0 * middle + right
            shift = np.where(bend < -1e-12, 0.5 * (left - right) / bend, 0.0)
        shift = np.where(np.isfinite(shift) & (top == centre), np.clip(shift, -1.0, 1.0), top - centre)
        # Nodes are even in u, not in η: interpolate η as a parabola in the node's number too.
        low, mid, high = (self.eta[centre + i] for i in (-1, 0, 1))
        return mid + 0.5 * shift * (high - low) + 0.5 * shift**2 * (high - 2.0 * mid + low)
