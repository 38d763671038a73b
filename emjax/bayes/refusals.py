"""What full Bayes does not know, said before any work."""

from emjax.errors import ModelError
from emjax.votes.preferences import Preferences


def refuse_evidence(prefs: Preferences) -> None:
    """Raise ModelError where more is known of users than their votes."""
    if prefs.evidence is not None:
        raise ModelError(
            "fit_bayes knows no gold questions and no earlier evidence of users: read the votes without "
            "gold, or use fit_em."
        )
