"""The dots of `plot_users`: few enough to draw, for any number of users, and no user left out."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

MAX_POINTS = 2000  # more places than this are drawn by neighbourhood
LEVELS = 40  # cells from 0 to 100 % agreement
BANDS = 46  # cells from the fewest votes to the most


class Dots(NamedTuple):
    """Where the dots are, and how many users each stands for; arrays of shape (dots,).

    `n_votes`, `agreement` and `attentiveness` are means over a dot's users (of votes the geometric one,
    because their axis is logarithmic). `gathered` says whether neighbours share a dot, or only users at the
    same place do.
    """

    n_votes: np.ndarray
    agreement: np.ndarray
    attentiveness: np.ndarray
    users: np.ndarray
    gathered: bool


def user_dots(users: Mapping[str, np.ndarray], max_points: int = MAX_POINTS) -> Dots:
    """The dots for a table of users; users without votes have none.

    Examples
    --------
    >>> import numpy as np
    >>> users = {"n_votes": np.array([4.0, 4.0]), "agreement": np.array([0.5, 0.5])}
    >>> dots = user_dots(users | {"attentiveness": np.array([0.25, 0.75])})
    >>> dots.attentiveness.tolist(), dots.users.tolist()
    ([0.5], [2.0])
    """
    votes, agreement, eta = _drawn(users)
    cell = _places(votes, agreement)
    gathered = bool(cell.max(initial=-1) >= max_points)
    if gathered:
        position = np.log(votes / votes.min()) / max(math.log(votes.max() / votes.min()), 1e-9)
        few = len(np.unique(votes)) <= BANDS
        bands = votes if few else np.floor(position * (BANDS - 1e-3))
        cell = _places(bands, np.round(agreement * LEVELS))
    size = np.bincount(cell).astype(np.float64)
    sums = [np.bincount(cell, values) / size for values in (np.log(votes), agreement, eta)]
    return Dots(np.exp(sums[0]), sums[1], sums[2], size, gathered)


def _drawn(users: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, agreement and attentiveness of the users that have a place in the picture."""
    votes, agreement, eta = (
        np.asarray(users[key], dtype=np.float64) for key in ("n_votes", "agreement", "attentiveness")
    )
    known = (votes > 0) & np.isfinite(agreement) & np.isfinite(eta)
    return votes[known], agreement[known], eta[known]


def _places(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Number of the place (x, y) of each user: users at the same place have the same number."""
    if len(x) == 0:
        return np.zeros(0, dtype=np.int64)
    column, row = (np.unique(values, return_inverse=True)[1].reshape(-1) for values in (x, y))
    return np.unique(column * (row.max() + 1) + row, return_inverse=True)[1].reshape(-1)


def dot_area(users: np.ndarray, crowd: float) -> np.ndarray:
    """Area of a dot in points squared: proportional to its users, but always large enough to see."""
    return np.maximum(5.0, min(22.0, 150.0 / max(crowd, 1.0)) * np.asarray(users, dtype=np.float64))


def legend_sizes(crowd: float) -> list[int]:
    """Numbers of users whose dots the legend shows: none where every dot is one user."""
    if crowd <= 1:
        return []
    power = 10 ** math.floor(math.log10(crowd))
    return sorted({1, int(crowd // power) * power})
