"""Checks of what full Bayes does not support, before any computation."""

from emjax.data.preferences import Preferences
from emjax.errors import ModelError


def refuse_evidence(prefs: Preferences) -> None:
    """Raise ModelError where more is known of users than their votes."""
    if prefs.anchor_votes is not None:
        raise ModelError(
            "fit_bayes does not support gold questions or earlier votes (prior_users): read the votes "
            "without gold, or use fit_em."
        )
