"""From votes on the host to what the kernels take on the device."""

import jax.numpy as jnp
import numpy as np

from emjax.infer.layout import lay_out
from emjax.infer.steps import Data, Model
from emjax.model.attentiveness import Attentiveness
from emjax.model.behavior import Behavior
from emjax.model.strength import Strength
from emjax.votes.cells import distinct
from emjax.votes.preferences import Preferences


def prepare(
    prefs: Preferences, prior: Attentiveness, strength: Strength, behavior: Behavior
) -> tuple[Data, Model, np.ndarray]:
    """Votes and model as the kernels take them, and the row of each user. Call it in double precision."""
    layout, row = lay_out(distinct(prefs))
    index = jnp.asarray(strength.index(prefs))
    return Data(layout, index), Model(prior, strength.bare(), behavior), row
