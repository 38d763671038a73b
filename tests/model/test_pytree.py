"""Records: frozen, traversed by JAX, validated once."""

import dataclasses

import jax
import numpy as np
import pytest

from emjax import Beta, BradleyTerry, Fixed, Grid, Known, PerPair, Points, Shared, Squarem, TwoPoint
from emjax.model.pytree import replace

RECORDS = [
    TwoPoint(), Points(3), Beta(3, 5), Grid(5), Fixed(Beta(3, 5)), Known(0.7),
    Known({("a", "b"): 0.7}), Shared(), Squarem(),
    PerPair(values=[0.6], comparisons=(("a", "b"),)), BradleyTerry(strengths=[1.0, -1.0], models=("a", "b")),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_leaves_and_back(record):
    leaves, tree = jax.tree.flatten(record)
    again = jax.tree.unflatten(tree, leaves)
    assert type(again) is type(record)
    for field in dataclasses.fields(record):
        mine, theirs = getattr(record, field.name), getattr(again, field.name)
        if field.name != "prior" or not isinstance(record, Fixed):
            np.testing.assert_array_equal(mine, theirs)
    assert repr(again) == repr(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_nothing_can_be_set(record):
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, 0.0)


def test_only_what_a_person_writes_is_checked():
    """Inside a computation a support point may pass its neighbour for a moment."""
    crossed = replace(TwoPoint(), low=0.9, high=0.1)
    assert (crossed.low, crossed.high) == (0.9, 0.1)


def test_long_values_are_shortened():
    assert repr(Grid(100)).count(",") < 20
    assert "100 in all" in repr(Known({str(i): 0.7 for i in range(100)}))
