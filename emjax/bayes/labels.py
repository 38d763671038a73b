"""Users and comparisons as text or whole numbers: labels of axes, which files of any format can hold."""

from typing import Any

import numpy as np

from emjax.data.comparison_table import Compared


def against(label: Any) -> str:
    """What a comparison is called, on an axis or in a table.

    Examples
    --------
    >>> against(("ant", "bee")), against(("ant", "bee", "code")), against(3)
    ('ant against bee', 'ant against bee in code', '3')
    """
    if not isinstance(label, tuple):
        return str(label)
    return " against ".join(label[:2]) + (f" in {label[2]}" if len(label) > 2 else "")


def as_labels(ids: np.ndarray) -> np.ndarray:
    """Ids as an array of whole numbers or of text, not of Python objects."""
    return ids if np.issubdtype(ids.dtype, np.integer) else ids.astype(np.str_)


def columns_of_labels(labels: Any) -> dict[str, np.ndarray]:
    """Columns that describe comparisons, one entry each: comparison; of pairs, model_a and model_b; context.

    `labels` are those of `emjax.data.comparison_table.labels`, and of strengths.
    """
    columns = {"comparison": np.array([against(label) for label in labels], dtype=np.str_)}
    if not all(isinstance(label, tuple) for label in labels):
        return columns
    for i, name in enumerate(("model_a", "model_b", "context")):
        if all(len(label) > i for label in labels):
            columns[name] = np.array([str(label[i]) for label in labels], dtype=np.str_)
    return columns


def model_numbers(table: Compared) -> tuple[np.ndarray, np.ndarray]:
    """(K,) names of the models as text, and (C, 2) the numbers of those in each comparison."""
    names, numbers = np.unique(table.comparisons.astype(np.str_), return_inverse=True)
    return names, numbers.reshape(-1, 2)
