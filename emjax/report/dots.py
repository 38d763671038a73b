"""The dots of `plot_users`: few enough to draw, for any number of users, and no user left out."""

import math
from collections.abc import Mapping

import numpy as np

MAX_POINTS = 2000  # more places than this are drawn by neighbourhood
LEVELS = 40  # cells from 0 to 100 % agreement
BANDS = 46  # cells from the fewest votes to the most


def user_dots(users: Mapping[str, np.ndarray], max_points: int = MAX_POINTS) -> dict[str, np.ndarray]:
    """Where the dots of `plot_users` are, and how many users each stands for.

    Returns `n_votes`, `agreement` and `attentiveness` (means over a dot's users; of votes the geometric one,
    because their axis is logarithmic) and `users`, each of shape (dots,). Users without votes have no dot.

    Examples
    --------
    >>> import numpy as np
    >>> users = {"n_votes": np.array([4.0, 4.0]), "agreement": np.array([0.5, 0.5])}
    >>> dots = user_dots(users | {"attentiveness": np.array([0.25, 0.75])})
    >>> dots["attentiveness"].tolist(), dots["users"].tolist()
    ([0.5], [2.0])
    """
    votes, agreement, eta = _drawn(users)
    cell = _places(votes, agreement)
    if cell.max(initial=-1) >= max_points:
        position = np.log(votes / votes.min()) / max(math.log(votes.max() / votes.min()), 1e-9)
        few = len(np.unique(votes)) <= BANDS
        bands = votes if few else np.floor(position * (BANDS - 1e-3))
        cell = _places(bands, np.round(agreement * LEVELS))
    size = np.bincount(cell).astype(np.float64)
    dots = {"n_votes": np.exp(np.bincount(cell, np.log(votes)) / size)}
    dots |= {"agreement": np.bincount(cell, agreement) / size, "attentiveness": np.bincount(cell, eta) / size}
    return dots | {"users": size}


def are_gathered(users: Mapping[str, np.ndarray], max_points: int = MAX_POINTS) -> bool:
    """Whether the users stand at so many places that neighbours must share a dot.

    Examples
    --------
    >>> import numpy as np
    >>> are_gathered({name: np.array([0.5, 1.0]) for name in ("n_votes", "agreement", "attentiveness")}, 1)
    True
    """
    votes, agreement, _ = _drawn(users)
    return len(votes) > max_points and bool(_places(votes, agreement).max(initial=-1) >= max_points)


def _drawn(users: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, agreement and attentiveness of the users that have a place in the picture."""
    votes, agreement, eta = (
        np.asarray(users[key], dtype=np.float64) for key in ("n_votes", "agreement", "attentiveness")
    )
    seen = (votes > 0) & np.isfinite(agreement) & np.isfinite(eta)
    return votes[seen], agreement[seen], eta[seen]


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
