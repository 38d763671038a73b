"""Model: prior, strengths and behavior together, at one step of a fit."""

import jax
import numpy as np
from jaxtyping import Float

from emjax.model.array_namespace import AnyArray
from emjax.model.parameters import Parameterised, Part
from emjax.model.prior import Attentiveness, moments
from emjax.model.pytree import record, replace
from emjax.model.response import Behavior
from emjax.model.strength import Strength


@record
class Model(Parameterised):
    """Prior, strengths and behavior at one step of a fit."""

    prior: Attentiveness
    strength: Strength
    behavior: Behavior

    parameters = (Part("prior"), Part("strength"), Part("behavior"))

    def log_prior(self) -> Float[AnyArray, ""]:
        """Log prior density of strengths and behavior: what the objective has besides log L."""
        return self.strength.log_prior() + self.behavior.log_prior()


def upright(model: Model) -> Model | None:
    """The mirror image of a model whose mean attentiveness is below 0: as likely, and easier to read.

    None where the mean is not below 0, or prior or strengths have no mirror image.
    """
    prior = jax.tree.map(np.asarray, model.prior)
    other, strength = prior.mirrored(), model.strength.mirrored()
    if other is None or strength is None or not float(moments(prior)[0]) < 0.0:
        return None
    return replace(model, prior=other, strength=strength)


def n_nodes(model: Model) -> int:
    """Number of attentiveness nodes at which the likelihood is evaluated."""
    return model.prior.nodes().eta.shape[0]
