"""Answers to prompts, each a pair (context, model), and strengths with covariates per answer."""

import abc
from typing import Any, Self

import numpy as np

from emjax.data.comparison_table import ComparisonTable
from emjax.data.ids import as_ids, as_text
from emjax.errors import ModelError
from emjax.model.strength import Strength

Answers = tuple[tuple[str, str], ...]


class ByAnswer(Strength):
    """Strengths μ_c of two answers to the same prompt, from what is known of each answer."""

    answers: Any

    def index(self, table: ComparisonTable) -> np.ndarray:
        return located(self.answers, table, type(self).__name__)

    @property
    def is_learned(self) -> bool:
        return True

    @property
    def scale_is_penalised(self) -> bool:
        """Whether a ridge penalty sets the scale of the strengths where votes are few."""
        return False

    @property
    def share_held_out(self) -> float:
        """Share of the contexts whose votes say when to stop learning, instead of being learned from."""
        return 0.0

    @property
    def unsaved(self) -> str | None:
        """Why a fit with it cannot be saved, if it cannot."""
        return None

    @abc.abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """What is too large for fit.json, as plain arrays."""

    @classmethod
    @abc.abstractmethod
    def from_arrays(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """The strength that `plain_fields` and `arrays` tell of."""

    @abc.abstractmethod
    def plain_fields(self) -> dict[str, Any]:
        """The few small values that stand in fit.json."""


def checked_answers(answers: Any, owner: str) -> Answers:
    """Answers as pairs of texts; a ModelError for what is none, or is listed twice."""
    pairs = answers if hasattr(answers, "__array__") else list(answers)
    try:
        array: Any = np.asarray(pairs, dtype=object)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ModelError(
            f"{owner} takes answers as pairs (context, model), at least one; got an array of shape "
            f"{array.shape}."
        )
    context, model = (as_text(as_ids(list(array[:, i]), name)) for i, name in enumerate(("context", "model")))
    pairs = tuple(zip(context.tolist(), model.tolist(), strict=True))
    if len(set(pairs)) < len(pairs):
        seen: set[tuple[str, str]] = set()
        twice = [pair for pair in pairs if pair in seen or seen.add(pair)]
        raise ModelError(f"{len(twice):,} answers are listed more than once, first {_named(twice)}.")
    return pairs


def checked_numbers(values: Any, answers: Answers, what: str, owner: str) -> np.ndarray:
    """Numbers about answers, one row each; a ModelError that counts and names what is missing."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{owner} takes {what} that are numbers.") from None
    if not array.ndim or len(array) != len(answers):
        got = f"{len(array):,} rows" if array.ndim else "one number"
        raise ModelError(f"{owner} needs one row of {what} per answer, {len(answers):,} here; got {got}.")
    bad = np.any(~np.isfinite(array.reshape(len(array), -1)), axis=1)
    if bad.any():
        first = [answers[i] for i in np.flatnonzero(bad)[:3]]
        raise ModelError(
            f"{int(bad.sum()):,} of {len(bad):,} answers have {what} that are missing or not finite, first "
            f"{_named(first)}: fill them in, or leave those answers and the votes on them out."
        )
    return array


def located(answers: Answers, table: ComparisonTable, owner: str) -> np.ndarray:
    """(C, 2) where the answers of each comparison are; a ModelError for those that are not there."""
    if table.contexts is None or not table.has_models:
        raise ModelError(
            f"{owner} strengths are of answers to prompts: read the votes with their models and with "
            f"context=COLUMN, which names the prompt (command line: --item COLUMN)."
        )
    place = {answer: i for i, answer in enumerate(answers)}
    asked = [
        (str(context), str(model))
        for context, pair in zip(table.contexts, table.comparisons, strict=True)
        for model in pair
    ]
    found = np.array([place.get(answer, -1) for answer in asked], dtype=np.int64)
    if (found < 0).any():
        missing = list(dict.fromkeys(a for a, i in zip(asked, found, strict=True) if i < 0))
        known = {"RewardNetwork": "features", "MonotoneReward": "scores"}.get(owner, "values")
        raise ModelError(
            f"{len(missing):,} of {len(set(asked)):,} answers that were voted on have no {known}, first "
            f"{_named(missing)}."
        )
    return found.reshape(-1, 2)


def _named(answers: Any) -> str:
    return ", ".join(f"{model!r} in {context!r}" for context, model in answers[:3])
