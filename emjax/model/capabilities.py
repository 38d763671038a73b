"""What goes together, and the reason where it does not: one table, looked up by every entry point."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

from emjax.errors import ModelError

IN_MEMORY = "{0} strengths need the votes in memory, with their users: give one Preferences, and no {1}."
BY_STRATUM = (
    "vote features need strengths that votes of all strata share, and {0} strengths differ between contexts: "
    "take BradleyTerry(), Shared() or Known(...), or leave vote features (--vote-features) out."
)
NO_MODELS = (
    "covariates move the log-odds of models that all strata share, which {0} strengths do not have: take "
    "BradleyTerry(), or leave covariates (--covariates) out."
)
NOT_SUMMED_OUT = (
    "fit_bayes sums the users out, which cannot be done exactly under {0} strengths: use fit_em, or "
    "BradleyTerry()."
)
BEFORE_A_FIT = (
    "identifiability examines strengths that are estimated by Newton steps, and {0} strengths are learned "
    "otherwise: use fit_em, whose fit says what it finds, or cross_validate."
)

NO_LEADERBOARD = (
    "a leaderboard needs one strength per model, which {0} strengths do not have: take BradleyTerry()."
)
PER_ITEM_ANCHORS = (
    "PerItem strengths do not go with anchor votes (gold questions, prior_users): the messages between users "
    "and items know no item whose strength is given. Read the votes without gold, or fit without --item."
)
WITH_USERS = "{0} needs the votes in memory, with their users: give one Preferences, and no {1}."

# What models, votes and sources have, in the order of the table in the documentation.
PARTS = (
    "Known",
    "Shared",
    "PerPair",
    "BradleyTerry",
    "BradleyTerry(l2_context)",
    "PerItem",
    "RewardNetwork",
    "MonotoneReward",
    "ties",
    "sides",
    "vote features",
    "covariates",
    "attentiveness below 0",
    "anchor votes",
)
# What can be asked of them; the first five are also parts that others go with, or not.
ASKED = (
    "vote features",
    "covariates",
    "anchor votes",
    "shards",
    "cells",
    "mesh",
    "prior_users",
    "fit_bayes",
    "identifiability",
    "history",
    "leaderboard",
)

_LEARNED = ("PerItem", "RewardNetwork", "MonotoneReward")
_BY_CONTEXT = ("PerPair", "BradleyTerry(l2_context)", *_LEARNED)
_WITHOUT_MODELS = ("Known", "Shared", "PerPair", "BradleyTerry(l2_context)", *_LEARNED)
_ELSEWHERE = ("shards", "cells")
_NO_LEADERBOARD = ("Known", "Shared", "PerPair", *_LEARNED)

# (part, asked): the reason why they do not go together. What is not here does.
CAPABILITIES: dict[tuple[str, str], str] = {
    **{(part, "vote features"): BY_STRATUM.format(part) for part in _BY_CONTEXT},
    **{(part, "covariates"): NO_MODELS.format(part) for part in _WITHOUT_MODELS},
    **dict.fromkeys([("PerItem", "anchor votes"), ("PerItem", "prior_users")], PER_ITEM_ANCHORS),
    ("BradleyTerry(l2_context)", "cells"): (
        "response patterns counted in an engine are of one comparison, without contexts: use BradleyTerry(), "
        "or read the votes."
    ),
    **{(part, "shards"): IN_MEMORY.format(part, "shards") for part in _LEARNED},
    **{(part, "cells"): IN_MEMORY.format(part, "cells") for part in _LEARNED},
    **{(part, "fit_bayes"): NOT_SUMMED_OUT.format(part) for part in _LEARNED},
    ("attentiveness below 0", "fit_bayes"): (
        "fit_bayes has no hyperprior for attentiveness below 0, where the sign of all strengths is free: use "
        "fit_em."
    ),
    **{(part, "identifiability"): BEFORE_A_FIT.format(part) for part in _LEARNED},
    ("PerItem", "history"): (
        "under PerItem strengths a vote depends on its item and its user together, and there is no history "
        "of users alone: fit the votes of both times as one."
    ),
    ("vote features", "history"): (
        "where attention depends on features of votes, strengths alone do not determine the likelihood of a "
        "vote, and there is no history: fit the votes of both times as one."
    ),
    **{(part, "leaderboard"): NO_LEADERBOARD.format(part) for part in _NO_LEADERBOARD},
    **{(source, "prior_users"): WITH_USERS.format("prior_users", source) for source in _ELSEWHERE},
    **{(source, "fit_bayes"): WITH_USERS.format("fit_bayes", source) for source in _ELSEWHERE},
    **{(source, "history"): WITH_USERS.format("a history of users", source) for source in _ELSEWHERE},
}


def parts_of(*have: Any) -> Iterator[str]:
    """The parts that priors, strengths and behaviors say they have; nothing for None."""
    for one in have:
        if one is not None:
            yield from one.parts()


def parts_of_votes(votes: Any) -> Iterator[str]:
    """The parts that votes have, as far as they say: shards in a list say less than votes in memory."""
    votes = getattr(votes, "table", votes)
    outcomes, strata = getattr(votes, "outcomes", None), getattr(votes, "strata", None)
    if outcomes is not None:
        yield from (name for name, there in (("ties", outcomes.ties), ("sides", outcomes.sides)) if there)
    if strata is not None and strata.covariates:
        yield "covariates"
    if getattr(votes, "anchor_votes", None) is not None:
        yield "anchor votes"


def reason_against(have: Iterable[str]) -> str | None:
    """Why two of these do not go together; None where all do."""
    for first, second in combinations(dict.fromkeys(have), 2):
        for pair in ((first, second), (second, first)):
            if pair in CAPABILITIES:
                return CAPABILITIES[pair]
    return None


def check_together(have: Iterable[str]) -> None:
    """Raise a ModelError with the reason where two of these do not go together.

    Examples
    --------
    >>> check_together(["BradleyTerry", "covariates", "fit_bayes"])
    >>> check_together(["vote features", "history"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    emjax.errors.ModelError: where attention depends on features of votes, ...
    """
    reason = reason_against(have)
    if reason is not None:
        raise ModelError(reason)
