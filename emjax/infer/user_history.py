"""What fitted votes say of their users, in the few numbers that a later fit needs."""

import jax
import numpy as np

from emjax.data.anchors import AnchorVotes, check_alike, gathered
from emjax.data.ids import union_ids
from emjax.data.preferences import Preferences
from emjax.model.strength import Strength

_BINS = 50  # of |2μ − 1|, from 0 to 1
_SURE = 1e-9  # closest to 1 that a question's accuracy comes


def history(prefs: Preferences, strength: Strength, before: AnchorVotes | None) -> AnchorVotes:
    """Votes by strength of their comparison; the likelier outcome of an attentive user counts as right.

    A vote's likelihood depends on its strength alone, so votes of about the same strength are added up, at
    their mean strength; with them gold questions, and what was known before of these users and of others.
    """
    with jax.enable_x64(True):
        logits = np.asarray(strength.logits(strength.index(prefs.table)))
    turned = (logits < 0.0)[prefs.comparison]
    counts = np.where(turned[:, None], prefs.counts[:, list(prefs.outcomes.mirror)], prefs.counts)
    rows = [(prefs.user, np.tanh(0.5 * np.abs(logits))[prefs.comparison], counts)]
    if prefs.anchor_votes is not None:
        rows.append(_rows_of(prefs.anchor_votes, np.arange(prefs.n_users)))
    users = prefs.users
    if before is not None:
        check_alike(prefs.outcomes, before.outcomes)
        users, mine, theirs = union_ids(users, before.users)
        rows = [(mine[user], margin, votes) for user, margin, votes in rows] + [_rows_of(before, theirs)]
    user, margin, counts = (np.concatenate(part) for part in zip(*rows, strict=True))
    return gathered(users, user, 0.5 + 0.5 * _rounded(margin, counts), counts, prefs.outcomes)


def _rows_of(known: AnchorVotes, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, |2μ − 1| and counts of each row of `AnchorVotes`."""
    return place[known.user], 2.0 * known.accuracy[known.question] - 1.0, known.counts


def _rounded(margin: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n,) |2μ − 1| of each row, those that are close to one another replaced by their mean over votes."""
    size = counts.sum(axis=1)
    place = np.minimum((margin * _BINS).astype(np.int64), _BINS - 1)
    total = np.bincount(place, size, _BINS)
    mean = np.bincount(place, size * margin, _BINS) / np.maximum(total, 1e-300)
    return np.minimum(mean, 1.0 - 2.0 * _SURE)[place]
