"""Kernels are tested where they run: in double precision."""

import jax
import numpy as np
import pytest


@pytest.fixture
def double():
    """Double precision, as inside the doors of the package."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def tally():
    """(40, 3, 2) counts of users in three comparisons, some fractional, some users and cells empty."""
    rng = np.random.default_rng(11)
    counts = rng.integers(0, 6, (40, 3, 2)).astype(float)
    counts[::5] *= 0.5
    counts[3], counts[7, 1] = 0.0, 0.0
    return counts
