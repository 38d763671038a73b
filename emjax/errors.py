"""The few errors and warnings of emjax; each message says what to do next."""

import sys
import warnings


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
