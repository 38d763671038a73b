"""How a user votes, against the formula itself in many digits."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from emjax import AttentiveOrRandom

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("rest", [0.0, 1e-300, 1e-20, 0.3, 1.0])
@pytest.mark.parametrize("logit", [-40.0, -1.0, 0.0, 2.5, 40.0])
def test_both_tails_keep_their_digits(rest, logit):
    """The subtractions 1 − η and 1 − μ lose everything here; the kernel must not make them."""
    found = AttentiveOrRandom().log_probability(
        jnp.asarray(1.0 - rest), jnp.asarray(rest), jnp.asarray(logit)
    )
    with mpmath.workdps(60):
        eta = 1 - mpmath.mpf(rest)
        chance = mpmath.mpf(rest) / 2
        for side, sign in enumerate((1, -1)):
            p = chance + eta / (1 + mpmath.exp(-sign * mpmath.mpf(logit)))
            np.testing.assert_allclose(float(found[side]), float(mpmath.log(p)), rtol=2e-15, atol=3e-16)


def test_careless_votes_are_random_and_attentive_votes_follow_the_strength():
    kernel = AttentiveOrRandom().log_probability
    zero, one, logit = jnp.asarray(0.0), jnp.asarray(1.0), jnp.log(jnp.asarray(3.0))
    np.testing.assert_allclose(np.exp(kernel(zero, one, logit)), [0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(np.exp(kernel(one, zero, logit)), [0.75, 0.25], rtol=1e-15)
