"""A fit in lines of text: counts with their nouns, parameters as a table."""

import unicodedata

import numpy as np

from emjax.infer.uncertainty import StandardErrors
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.strength import Strength

_MOST = 12  # rows of a table; a fit can have thousands


def counted(number: float, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "user"), counted(2000, "user")
    ('1 user', '2,000 users')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def parameter_lines(strength: Strength, se: StandardErrors) -> list[str]:
    """Estimates with standard errors and intervals, under headings; of many, the first.

    Bradley–Terry strengths come last, by model, the strongest first.
    """
    rows = [(" ".join(e.name.split()), e.row()) for e in se]
    if not isinstance(strength, BradleyTerry):
        return _table("parameter", "estimate", se.level, rows)
    first = se.names.index(strength.names()[0])
    last = first + len(strength.models)
    order = np.argsort(-np.asarray(strength.strengths), kind="stable")
    models = [(" ".join(strength.models[i].split()), rows[first + i][1]) for i in order]
    rest = rows[:first] + rows[last:]
    width = max(_columns(name) for name, _ in rest + models[: _MOST + 1])
    others = _table("parameter", "estimate", se.level, rest, width)
    return others + _table("model", "strength", se.level, models, width)


def _table(noun: str, value: str, level: float, rows: list[tuple[str, str]], width: int = 0) -> list[str]:
    if not rows:
        return []
    shown = rows[:_MOST] if len(rows) > _MOST + 1 else rows
    width = max([width, len(noun)] + [_columns(name) for name, _ in shown])
    lines = [f"{noun:{width}}  {value:>8}   std_err   {level:.0%} interval"]
    lines += [f"{name}{' ' * (width - _columns(name))}  {row}" for name, row in shown]
    more = len(rows) - len(shown)
    return lines + ([f"… and {more:,} more {noun}s"] if more else [])


def _columns(text: str) -> int:
    """How wide a terminal shows it: a Chinese character takes two columns, an accent none."""
    wide = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1) for c in text)
