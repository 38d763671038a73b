"""Policies parsed from the text of a command-line option."""

from emjax.decide.policy import (
    Attentive,
    Credible,
    Flip,
    Likely,
    MaxInformation,
    Policy,
    SoftLabels,
    Threshold,
    TopFraction,
    Weights,
)
from emjax.errors import ModelError

FORMS = (
    "top:0.7, top:0.7:users, threshold:0.5, credible:0.5:0.9, max-information, weights, weights:vote, "
    "soft-labels, soft-labels:vote, attentive, likely:0.8 or flip:0.5"
)


def parse_policy(text: str) -> Policy:
    """A policy from its words on the command line.

    Raises
    ------
    ModelError
        The words name no policy, or a number in them is out of range.

    Examples
    --------
    >>> parse_policy("credible:0.5:0.9")
    Credible(at=0.5, probability=0.9)
    """
    name, *rest = text.strip().lower().replace("_", "-").split(":")
    plain = {
        "max-information": MaxInformation,
        "weights": Weights,
        "soft-labels": SoftLabels,
        "attentive": Attentive,
    }
    if name in plain and not rest:
        return plain[name]()
    if name in ("weights", "soft-labels") and rest in (["user"], ["vote"]):
        return plain[name](by=rest[0])
    if name == "likely" and len(rest) <= 1:
        return Likely(*(_number(word, text) for word in rest))
    if name == "top" and 1 <= len(rest) <= 2:
        return TopFraction(_number(rest[0], text), *rest[1:])
    if name == "threshold" and len(rest) <= 1:
        return Threshold(*(_number(word, text) for word in rest))
    if name == "flip" and len(rest) <= 1:
        return Flip(*(_number(word, text) for word in rest))
    if name == "credible" and len(rest) <= 2:
        return Credible(*(_number(word, text) for word in rest))
    raise ModelError(f"{text!r} is not a policy: give {FORMS}.")


def _number(word: str, text: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ModelError(f"{word!r} in {text!r} is not a number: give {FORMS}.") from None
