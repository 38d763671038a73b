"""Row rules: what is done with a row that is no plain vote for one of two models."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from emjax.errors import VotesError

# Why a row is left out; the number of a reason stands in `Tally.skipped`. Zero is a row that counts.
REASONS = ("", "a model against itself", "without a winner")
ITSELF, NO_WINNER = 1, 2
_CHOICES = {"ties": ("drop", "half", "model"), "empty_winner": ("refuse", "tie", "drop")}


@dataclass(frozen=True)
class RowRules:
    """What is done with ties, empty winners and a model against itself.

    Parameters
    ----------
    ties : {"drop", "half", "model"}
        Leave ties out; count a tie as half a vote for either side; or as an outcome of its own.
    empty_winner : {"refuse", "tie", "drop"}
        An empty cell in the column of the winner is an error, a tie, or leaves its row out.
    strict : bool
        Whether a row that compares a model with itself is an error; it is left out otherwise.

    Raises
    ------
    VotesError
        A word is not one of these.

    Examples
    --------
    >>> RowRules(empty_winner="tie")
    RowRules(ties='drop', empty_winner='tie', strict=False)
    """

    ties: str = "drop"
    empty_winner: str = "refuse"
    strict: bool = False

    def __post_init__(self) -> None:
        for option, known in _CHOICES.items():
            given = getattr(self, option)
            if given not in known:
                listed = ", ".join(f'"{word}"' for word in known[:-1])
                raise VotesError(f'{option}={given!r} is not known: give {listed} or "{known[-1]}"')

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "RowRules":
        """The rules among options of `read_votes`; as by default where one is not given.

        Examples
        --------
        >>> RowRules.of({"user": "who", "ties": "half"})
        RowRules(ties='half', empty_winner='refuse', strict=False)
        """
        return cls(**{name: options[name] for name in asdict(cls()) if name in options})

    def unusual(self) -> dict[str, str | bool]:
        """The rules that are not those by default, as options of `read_votes`.

        Examples
        --------
        >>> RowRules("half").unusual()
        {'ties': 'half'}
        """
        usual = asdict(RowRules())
        return {name: of for name, of in asdict(self).items() if of != usual[name]}


@dataclass(frozen=True)
class Reading:
    """How the cells of a table are understood.

    Attributes
    ----------
    called : two str
        What the caller calls the two columns of models: these names count as words for the winner, too.
    typed : bool
        False for files of text, which do not tell numbers from text.
    rules : RowRules
    read_from : mapping of str to str
        For roles that were not read from one column of the caller, the field of its records or the columns.
    form : str
        The name of the format that the table was recognised as, if it was.
    unfolded : bool
        Whether the rows were taken out of nested records.
    """

    called: tuple[str, str] = ("model_a", "model_b")
    typed: bool = True
    rules: RowRules = field(default_factory=RowRules)
    read_from: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    unfolded: bool = False
