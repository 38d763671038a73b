"""Anchored: strengths of comparisons, followed by anchor questions of known strength."""

from typing import Any, Self

import numpy as np
from jaxtyping import Float

from emjax.data.totals import Overview
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.design import Design
from emjax.model.parameters import Part, logit
from emjax.model.pytree import record, replace
from emjax.model.strength import Index, Strength


@record
class Anchored(Strength):
    """The comparisons of `inner`, and after them questions that are as strong as they are.

    Parameters
    ----------
    inner
        The strength of the comparisons.
    log_odds : (K,)
        Log-odds of the right answer to each question by an attentive user.

    Notes
    -----
    Made by a fit from the anchor votes; the strength that a fit returns is `inner`.

    Examples
    --------
    >>> from emjax.model.strength import Shared
    >>> Anchored(Shared(), np.array([3.0])).names()
    ('strength',)
    """

    inner: Any
    log_odds: Any

    parameters = (Part("inner"),)

    def start(self, prefs: Overview) -> Self:
        return replace(self, inner=self.inner.start(prefs))

    def index(self, prefs: Overview) -> np.ndarray:
        own, k = self.inner.index(prefs), np.arange(len(self.log_odds))
        return np.concatenate([own, np.broadcast_to(k[:, None], (len(k), own.shape[1]))])

    def design(self, index: Index) -> Design:
        own = self.inner.design(index[: self._first(index)])
        xp, k = namespace(own.values, own.offset, self.log_odds), len(self.log_odds)
        none = xp.zeros((k, own.columns.shape[1]))
        return Design(
            xp.concatenate([own.columns, none.astype(own.columns.dtype)]),
            xp.concatenate([own.values, none]),
            xp.concatenate([own.offset, self.log_odds]),
            own.size,
        )

    def maximise(self, votes, nodes, index, behavior) -> Self:
        first = self._first(index)
        own = votes[:first], nodes, index[:first], behavior.of_first(first)
        return replace(self, inner=self.inner.maximise(*own))

    def log_prior(self) -> Float[AnyArray, ""]:
        return self.inner.log_prior()

    def without_anchors(self) -> Strength:
        return self.inner

    def bare(self) -> Self:
        return replace(self, inner=self.inner.bare())

    def _first(self, index: Index) -> int:
        """Where the questions begin."""
        return index.shape[0] - len(self.log_odds)


def anchored(strength: Strength, prefs: Overview) -> Strength:
    """The strength as the kernels take it: with the questions of the anchor votes, if any."""
    if prefs.anchor_votes is None:
        return strength
    right = np.asarray(prefs.anchor_votes.accuracy)
    return Anchored(strength, logit(right))
