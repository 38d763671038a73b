"""MonotoneReward: scores of a given reward model turned into strengths by a learned monotone map."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.data.comparison_table import ComparisonTable
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray
from emjax.model.design import Design, known_design
from emjax.model.likelihood import log_probabilities
from emjax.model.optimize import ascend
from emjax.model.parameters import Limits, Vector
from emjax.model.prompt_answers import ByAnswer, checked_answers, checked_numbers
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.strength import Index

_FLAT = 0.01  # a ridge on the slopes themselves, so that one that no vote speaks of stays finite
_REACH, _STEPS = 30.0, 30


@record
class MonotoneReward(ByAnswer):
    """Scores that a reward model gave to answers, made into probabilities by a map that is learned.

    An attentive user prefers answer A to answer B with log-odds f(score of A − score of B), where f is odd,
    rises everywhere, and is piecewise linear with knots at quantiles of the differences that occur.

    Parameters
    ----------
    answers : n pairs (context, model)
        The answers. The context names the prompt, as in ``read_votes(votes, context=COLUMN)``.
    scores : (n,)
        What the reward model says of each; only differences of answers to one prompt matter.
    knots
        Most segments of the map on either side of 0.
    l2
        Penalty on changes of slope from segment to segment, on a logarithmic scale.
    raw, places
        Slopes and knots of the map; filled in by a fit, and a starting point for the next.

    Raises
    ------
    ModelError
        When scores and answers do not go together, a score is not finite, or no two scores differ.

    Notes
    -----
    A limit: a higher score is taken for a better answer. Scores that say the opposite end as a nearly flat
    map, and a fit does not reverse them.

    Examples
    --------
    >>> MonotoneReward([("p1", "ant"), ("p1", "bee"), ("p2", "ant")], [0.2, 1.5, 0.4])
    MonotoneReward(3 answers, 8 knots)
    """

    answers: Any = static()
    scores: Any
    knots: int = static(default=8)
    l2: float = static(default=1.0)
    raw: Any = None
    places: Any = None

    def __post_init__(self) -> None:
        answers = checked_answers(self.answers, "MonotoneReward")
        scores = checked_numbers(self.scores, answers, "scores", "MonotoneReward")
        if scores.shape != (len(answers),):
            raise ModelError(f"MonotoneReward takes one score per answer; got shape {scores.shape}.")
        set_fields(self, answers=answers, scores=scores)
        if not isinstance(self.knots, int | np.integer) or self.knots < 1:
            raise ModelError(f"MonotoneReward needs knots of at least 1, a whole number; got {self.knots!r}.")
        if not (np.isfinite(self.l2) and self.l2 > 0):
            raise ModelError(f"MonotoneReward needs a penalty l2 > 0; got {self.l2!r}.")

    def start(self, table: ComparisonTable) -> Self:
        a, b = self.index(table).T
        if self.raw is not None:
            return self
        apart = np.abs(self.scores[a] - self.scores[b])
        if not (apart > 0).any():
            raise ModelError(
                "no two answers that were compared have different scores: give scores that differ."
            )
        places = np.unique(np.quantile(apart[apart > 0], np.arange(1, self.knots + 1) / self.knots))
        return replace(self, places=places, raw=np.zeros(len(places)))

    def map(self, difference: Any) -> Any:
        """Log-odds f at these differences of scores, as NumPy numbers."""
        if self.raw is None:
            raise ModelError("MonotoneReward has no map before a fit: take fit.strength.")
        with jax.enable_x64(True):
            given = jnp.asarray(np.asarray(difference, dtype=np.float64))
            return np.asarray(self._map(given.reshape(-1))).reshape(given.shape)[()]

    def design(self, index: Index) -> Design:
        scores = jnp.asarray(self.scores)
        return known_design(self._map(scores[index[:, 0]] - scores[index[:, 1]]))

    def maximise(self, votes, nodes, index, behavior) -> Self:
        def value(raw: Float[AnyArray, " n"]) -> Float[AnyArray, ""]:
            at = replace(self, raw=raw)
            return jnp.sum(votes * log_probabilities(behavior, nodes, at.logits(index))) + at.log_prior()

        return replace(self, raw=ascend(value, jnp.asarray(self.raw), -_REACH, _REACH, _STEPS))

    def log_prior(self) -> Float[AnyArray, ""]:
        raw = jnp.asarray(self.raw)
        return -0.5 * (self.l2 * jnp.sum((raw[1:] - raw[:-1]) ** 2) + _FLAT * jnp.sum(raw**2))

    def names(self) -> tuple[str, ...]:
        return tuple(f"probability at a difference of {place:.3g}" for place in np.asarray(self.places))

    def natural(self) -> Vector:
        return jax.nn.sigmoid(self._map(jnp.asarray(self.places)))

    def limits(self) -> Limits:
        return [(0.0, 1.0)] * len(self.names())

    def bare(self) -> Self:
        return replace(self, answers=())

    def plain_fields(self) -> dict[str, Any]:
        lists = {name: np.asarray(getattr(self, name)).tolist() for name in ("places", "raw")}
        at_places = np.asarray(self.map(self.places)).tolist()
        return {"knots": int(self.knots), "l2": float(self.l2), **lists, "log_odds": at_places}

    def arrays(self) -> dict[str, np.ndarray]:
        context, model = (np.array([a[i] for a in self.answers], dtype=np.str_) for i in (0, 1))
        return {"context": context, "model": model, "scores": np.asarray(self.scores)}

    @classmethod
    def from_arrays(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        answers = list(zip(arrays["context"].tolist(), arrays["model"].tolist(), strict=True))
        made = cls(answers, arrays["scores"], knots=plain["knots"], l2=plain["l2"])
        return replace(made, **{name: np.array(plain[name], np.float64) for name in ("places", "raw")})

    def __repr__(self) -> str:
        return f"MonotoneReward({len(self.scores):,} answers, {counted_knots(self)})"

    def _map(self, difference: Float[AnyArray, " n"]) -> Float[AnyArray, " n"]:
        """Odd: the integral from 0 to |difference|, segment by segment, each with its slope."""
        places = jnp.asarray(self.places)
        below = jnp.concatenate([jnp.zeros(1, places.dtype), places[:-1]])
        slopes = jax.nn.softplus(jnp.asarray(self.raw)) / places[places.shape[0] // 2]
        way = jnp.maximum(jnp.abs(difference)[:, None] - below[None, :], 0.0)
        inside = jnp.minimum(way[:, :-1], (places - below)[None, :-1])
        return jnp.sign(difference) * (inside @ slopes[:-1] + way[:, -1] * slopes[-1])


def counted_knots(given: MonotoneReward) -> str:
    """How many knots there are, or may be."""
    n = given.knots if given.places is None else len(given.places)
    return f"{n} knot{'' if n == 1 else 's'}"
