"""emjax: attentiveness of users and strengths of models, estimated from comparison votes by EM in JAX."""

import warnings
from typing import Any

import lazy_loader

__version__ = "0.2.0"

# The names are in __init__.pyi, which type checkers read too; nothing is imported before it is used.
_find, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# Names of version 0.1, which work until the next version.
_RENAMED = {
    "keep": "filter_votes",
    "Kept": "Filtered",
    "single_votes": "vote_posteriors",
    "SingleVotes": "VotePosteriors",
    "Latent": "PerItem",
    "Contextual": "RewardNetwork",
    "Calibrated": "MonotoneReward",
    "VoteKinds": "VoteStrata",
    "Evidence": "AnchorVotes",
    "read_evidence": "read_anchor_votes",
    "write_evidence": "write_anchor_votes",
    "validate": "cross_validate",
    "Plain": "NoAcceleration",
}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(
            f"emjax.{name} is now emjax.{_RENAMED[name]}: the old name goes with the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        name = _RENAMED[name]
    return _find(name)
