"""Fixed nodes on [0, 1] whose weights are smooth in the parameters of a Beta density."""

from typing import NamedTuple

import numpy as np

_COUNT, _REACH = 512, 6.2


class DoubleExponential(NamedTuple):
    """Nodes η = σ(π sinh u) on an even grid of u, with what cancels or underflows carried in logarithms.

    Beta(a, b) has, per step of u, the unnormalised weight η^a (1 − η)^b cosh u: the factors η(1 − η) of
    dη/du raise both exponents by one, so the endpoint singularities of a, b < 1 are gone.
    """

    eta: np.ndarray
    rest: np.ndarray
    log_eta: np.ndarray
    log_rest: np.ndarray
    log_cosh: np.ndarray
    log_spacing: np.ndarray


def double_exponential() -> DoubleExponential:
    """512 nodes with |u| ≤ 6.2: the error of log L stays below 1e-8 relative for a, b in [0.05, 200]."""
    u = np.linspace(-_REACH, _REACH, _COUNT)
    x = np.pi * np.sinh(u)
    log_eta, log_rest = -np.logaddexp(0.0, -x), -np.logaddexp(0.0, x)
    log_cosh = np.log(np.cosh(u))
    return DoubleExponential(
        eta=np.exp(log_eta),
        rest=np.exp(log_rest),
        log_eta=log_eta,
        log_rest=log_rest,
        log_cosh=log_cosh,
        log_spacing=log_eta + log_rest + log_cosh + np.log(np.pi * (u[1] - u[0])),
    )
