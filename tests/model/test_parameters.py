"""Parameters as data: transforms and back, and vectors of coordinates, natural numbers, names and limits."""

from typing import Any

import jax
import numpy as np
import pytest

import emjax
from emjax.data.strata import VoteStrata
from emjax.model import parameters
from emjax.model.parameters import LOG, LOGIT, SHARE, SIMPLEX, SOFTMAX, OneVector, Parameter, Part
from emjax.model.pytree import record, replace

pytestmark = pytest.mark.usefixtures("double")

KINDS = VoteStrata.given(["quick", "slow"], [[-1.0, 0.5], [1.0, 0.0]], names=["pace", "length"])
RECORDS = [
    emjax.Shared(value=0.8),
    emjax.PerPair(values=[0.2, 0.7], comparisons=(("a", "b"), ("b", "c"))),
    emjax.BradleyTerry(strengths=[0.5, -0.25, 1.0], models=("a", "b", "c"), components=[0, 0, 1]),
    emjax.PerItem(5, log_weights=[0.0, 1.0, 2.0, 1.0, 0.0], strengths=[1.0, 3.0], models=("a", "b")),
    emjax.Davidson(0.7),
    emjax.RaoKupper(0.3),
    emjax.Sharpness(),
    replace(emjax.AttentiveOrRandom(ties=emjax.Davidson(2.0), careless_ties=0.2, features=KINDS), sides=True),
    emjax.AttentiveOrRandom(0.4),
]


@pytest.mark.parametrize("given", RECORDS, ids=lambda given: repr(given)[:40])
def test_coordinates_lead_back_to_the_record_and_all_lists_have_one_length(given):
    x = np.asarray(given.coordinates())
    assert len(x) == given.n_coordinates()
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(given.at(x)), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-14, atol=1e-15)
    natural = np.asarray(given.natural())
    assert len(natural) == len(given.names()) == len(given.limits())
    low, high = np.array(given.limits()).reshape(-1, 2).T
    assert (low <= natural).all() and (natural <= high).all()


@pytest.mark.parametrize("given", RECORDS, ids=lambda given: repr(given)[:40])
def test_numpy_and_jax_give_the_same_vectors(given):
    x = np.asarray(given.coordinates()) + 0.1
    compiled = jax.jit(lambda x: given.at(x).natural())(x)
    np.testing.assert_allclose(compiled, given.at(x).natural(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "transform, value, line",
    [
        (LOG, 2.0, np.log(2.0)),
        (LOGIT, 0.9, np.log(9.0)),
        (SHARE, 0.25, -np.log(3.0)),
        (SIMPLEX, np.array([0.2, 0.4, 0.4]), np.log([2.0, 2.0])),
        (SOFTMAX, np.array([0.25, 0.75]), np.log([0.25, 0.75])),
    ],
    ids=["log", "logit", "share", "simplex", "softmax"],
)
def test_a_transform_is_the_formula_of_its_name_and_has_an_inverse(transform, value, line):
    np.testing.assert_allclose(transform.to_line(value), line, rtol=1e-14)
    np.testing.assert_allclose(transform.from_line(np.asarray(line)), value, rtol=1e-14)
    assert transform.size(np.size(value)) == np.size(line)


def test_shares_of_zero_and_one_have_finite_coordinates():
    limit = parameters.LOGIT_LIMIT
    assert (SHARE.to_line(np.float64(0.0)), SHARE.to_line(np.float64(1.0))) == (-limit, limit)
    assert np.abs(SIMPLEX.to_line(np.array([0.0, 1.0]))).max() <= limit


@record
class Line(OneVector):
    """Written as a user of the package would: an intercept, and a slope that is positive."""

    at_zero: Any = 0.0
    slope: Any = 1.0
    is_flat: bool = False

    parameters = (
        Parameter("at_zero", "value at 0", parameters.IDENTITY),
        Parameter("slope", "slope", LOG, when=lambda of: not of.is_flat),
    )


@record
class Pair(OneVector):
    """A record with two parts, of which one may be missing."""

    first: Any
    second: Any = None

    parameters = (Part("first"), Part("second"))


def test_a_list_of_parameters_is_all_that_a_class_needs():
    line = Line(-1.0, 4.0)
    np.testing.assert_allclose(line.coordinates(), [-1.0, np.log(4.0)])
    moved = line.at(np.array([2.0, 0.0]))
    assert (float(moved.at_zero), float(moved.slope)) == (2.0, 1.0)
    assert line.names() == ("value at 0", "slope")
    assert line.limits() == [(-np.inf, np.inf), (0.0, np.inf)]
    np.testing.assert_array_equal(line.natural(), [-1.0, 4.0])


def test_a_parameter_that_is_not_estimated_has_no_coordinate_and_stays():
    line = Line(-1.0, 4.0, is_flat=True)
    assert line.names() == ("value at 0",) and len(line.coordinates()) == 1
    assert line.at(np.array([0.5])).slope == 4.0


def test_parts_follow_each_other_and_a_missing_one_has_none():
    pair = Pair(Line(1.0, 1.0), Line(2.0, 1.0, is_flat=True))
    np.testing.assert_array_equal(pair.coordinates(), [1.0, 0.0, 2.0])
    moved = pair.at(np.array([3.0, 0.0, 5.0]))
    assert (moved.first.at_zero, moved.second.at_zero) == (3.0, 5.0)
    assert pair.names() == ("value at 0", "slope", "value at 0")
    assert Pair(Line()).n_coordinates() == 2


def test_what_has_no_parameters_stays_as_it_is():
    known = emjax.Known(0.74)
    assert (known.coordinates().size, known.natural().size, known.names(), known.limits()) == (0, 0, (), [])
    assert known.at(np.zeros(0)).value == known.value
