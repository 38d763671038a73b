"""Hyperpriors are positive numbers."""

from dataclasses import fields

import pytest

from emjax import Hyperpriors, ModelError


@pytest.mark.parametrize("name", [field.name for field in fields(Hyperpriors)])
@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")])
def test_a_hyperprior_that_is_no_positive_number_is_refused(name, wrong):
    with pytest.raises(ModelError, match=rf"Hyperpriors\({name}=\) is a positive number") as message:
        Hyperpriors(**{name: wrong})
    assert "\n" not in str(message.value)


def test_hyperpriors_are_floats_and_comparable():
    assert Hyperpriors(spread=1) == Hyperpriors(spread=1.0) != Hyperpriors()
    assert all(type(getattr(Hyperpriors(grid=3), field.name)) is float for field in fields(Hyperpriors))
    assert len({Hyperpriors(), Hyperpriors(), Hyperpriors(median=3)}) == 2
