"""The fixed nodes of a Beta density, in more digits than they have."""

import mpmath
import numpy as np

from emjax.model.quadrature import double_exponential


def test_nodes_and_logarithms_keep_their_digits_at_both_ends():
    rule = double_exponential()
    assert (np.diff(rule.log_eta) >= 0).all() and (np.diff(rule.log_rest) <= 0).all()
    np.testing.assert_allclose(rule.eta + rule.rest, 1.0, rtol=1e-15)
    np.testing.assert_allclose(rule.eta, rule.rest[::-1], rtol=1e-11, atol=1e-300)
    with mpmath.workdps(50):
        for i in (0, 40, 200, 255, 300, 511):
            u = -mpmath.mpf("6.2") + i * mpmath.mpf("12.4") / 511
            x = mpmath.pi * mpmath.sinh(u)
            np.testing.assert_allclose(rule.log_eta[i], float(-mpmath.log1p(mpmath.exp(-x))), rtol=1e-13)
            np.testing.assert_allclose(rule.log_rest[i], float(-mpmath.log1p(mpmath.exp(x))), rtol=1e-13)
            step = mpmath.pi * mpmath.mpf("12.4") / 511 * mpmath.cosh(u)
            slope = step * mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2
            np.testing.assert_allclose(rule.log_spacing[i], float(mpmath.log(slope)), rtol=1e-12, atol=1e-12)
