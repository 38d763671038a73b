"""The few errors and warnings of emjax; each message says what to do next."""

import sys
import warnings
from typing import Any


class EmjaxError(Exception):
    """Root of every error that emjax raises on purpose.

    Catching it catches all of them and nothing else. The message is one line and carries a remedy.

    Examples
    --------
    >>> from emjax.errors import EmjaxError, VotesError
    >>> issubclass(VotesError, EmjaxError)
    True
    """


class VotesError(EmjaxError, ValueError):
    """The votes that came in cannot be used as they are; the message counts and names what is wrong."""


class ModelError(EmjaxError, ValueError):
    """A prior, a strength or an option that is invalid (a strength of 1/2, a model unknown to the fit)."""


class FitError(EmjaxError, RuntimeError):
    """The fit went wrong: a number is not finite, or the log-likelihood fell."""


class OutputError(EmjaxError, OSError):
    """An output file or folder cannot be written, or holds something that would be lost."""


class MissingExtra(EmjaxError, ImportError):
    """An optional package is not installed; the message gives the line that installs it.

    Examples
    --------
    >>> print(MissingExtra.needed("numpyro", extra="bayes", what="fit_bayes"))
    fit_bayes needs numpyro, which is not installed: pip install "emjax[bayes]"
    """

    @classmethod
    def needed(cls, package: str, *, extra: str, what: str) -> "MissingExtra":
        """Build the error for `what`, which needs `package`, which comes with the optional `extra`."""
        return cls(
            f'{what} needs {package}, which is not installed: pip install "emjax[{extra}]"', name=package
        )


class EmjaxWarning(UserWarning):
    """There is a result, and something about it that the reader should know."""


def warn(message: str) -> None:
    """Warn at the line that called emjax, however deep inside the package the reason was found.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("There is one user.")
    >>> caught[0].category.__name__
    'EmjaxWarning'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "emjax":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, EmjaxWarning, stacklevel=level)


class Renamed:
    """An attribute's name of the version before: it gives what the new name gives, and warns.

    Examples
    --------
    >>> class Votes:
    ...     strata = 3
    ...     kinds = Renamed("strata")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     Votes().kinds
    3
    >>> caught[0].message
    DeprecationWarning('Votes.kinds is now Votes.strata: the old name goes with the next version.')
    """

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        of = type(instance).__name__
        warnings.warn(
            f"{of}.{self.old} is now {of}.{self.new}: the old name goes with the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(instance, self.new)
