"""How much a loop of small gains still lacks."""


def lacking(values: list[float]) -> float:
    """What is still to be gained if gains go on shrinking as they do: the sum of a geometric series.

    Examples
    --------
    >>> round(lacking([0.0, 8.0, 12.0, 14.0]), 6)
    4.0
    """
    if len(values) < 4:
        return abs(values[-1])
    before, last = abs(values[-2] - values[-3]), abs(values[-1] - values[-2])
    ratio = min(last / before, 0.999) if before > 0 else 0.0
    return last / (1.0 - ratio)
