"""What the solvers are given, and what they return: independent users, users and items, learned rewards."""

from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from emjax.infer.acceleration import Acceleration
from emjax.infer.identifiability import Identifiability
from emjax.infer.standard_errors import Curvature
from emjax.model.model import Model


class Options(NamedTuple):
    """How a model is fitted, as `fit_em` takes it."""

    acceleration: Acceleration
    tol: float
    max_steps: int
    mesh: Mesh | None = None


class Solution(NamedTuple):
    """What a solver returns: the estimate, with its names, and the fields of a `Fit` that go with it."""

    model: Model
    log_likelihood: float
    trace: np.ndarray
    em_steps: int
    newton_steps: int
    gap: float
    tol: float
    step_limit: bool
    curvature: Curvature
    identified: Identifiability
