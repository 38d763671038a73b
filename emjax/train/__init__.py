"""Training: pairs of answers, votes on them, and language models trained on votes (extra `train`)."""

from typing import Any

_WHERE = {
    "to_dpo_dataset": "dataset",
    "AttentiveDPOTrainer": "dpo",
    "AttentiveLoss": "losses",
    "WeightedLoss": "losses",
    "SoftLabelLoss": "losses",
    "UnbiasedLoss": "losses",
    "PairLoss": "losses",
    "ReliabilityInTheLoop": "repo",
    "reliability": "policy_e_step",
    "Reliability": "policy_e_step",
    "LanguageModel": "generate",
    "generate_pairs": "generate",
    "simulate_votes": "simulated_raters",
    "SimulatedVotes": "simulated_raters",
    "ByReward": "simulated_raters",
    "TheBetter": "simulated_raters",
}


def __dir__() -> list[str]:
    return [*_WHERE]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for, since what stands behind some of them takes seconds to load."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
