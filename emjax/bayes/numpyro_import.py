"""The only import of NumPyro and ArviZ; where one is missing, the error names the extra.

Nothing imports it before sampling is asked for, because loading takes a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from emjax.errors import MissingExtra

try:
    import arviz_base
    import arviz_stats.base
    import numpyro
    import numpyro.distributions as dist
    from numpyro import handlers
    from numpyro.infer import MCMC, NUTS
    from numpyro.infer.hmc import hmc
    from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn
    from tqdm import tqdm
except ImportError as missing:
    package = (missing.name or "numpyro").partition(".")[0].replace("_", "-")
    raise MissingExtra.needed(package, extra="bayes", what="fit_bayes") from missing

array_stats: Any = getattr(arviz_stats.base, "array_stats")  # noqa: B009 (not among its typed names)


@contextmanager
def double_precision() -> Iterator[None]:
    """Double precision, and JAX's usual promotion of types, which NumPyro relies on."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


__all__ = [
    "MCMC",
    "NUTS",
    "array_stats",
    "arviz_base",
    "constrain_fn",
    "dist",
    "double_precision",
    "handlers",
    "hmc",
    "numpyro",
    "potential_energy",
    "tqdm",
    "unconstrain_fn",
]
