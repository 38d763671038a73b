"""What full Bayes does not know, said before any work."""

from emjax.data.preferences import Preferences
from emjax.errors import ModelError


def refuse_evidence(prefs: Preferences) -> None:
    """Raise ModelError where more is known of users than their votes."""
    if prefs.evidence is not None:
        raise ModelError(
            "fit_bayes knows no gold questions and no earlier evidence of users: read the votes without "
            "gold, or use fit_em."
        )
