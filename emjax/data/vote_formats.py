"""Vote formats: tables of votes as tools and data sets of the field write them, known by their columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import filter as matching

from emjax.data.near_names import closest, plain_name
from emjax.data.winner_expressions import (
    Build,
    always_first,
    below_zero,
    first_or_second,
    name_or_equal,
    one_hot,
)
from emjax.errors import VotesError

Names = tuple[str, ...]


@dataclass(frozen=True)
class VoteFormat:
    """A format of votes, one row per vote or more.

    Attributes
    ----------
    name : str
        As `format` takes it.
    title : str
        What people call it.
    needs : tuple of tuple of str
        Columns that must be there, each under one of several names, in lower case with underscores; a *
        stands for any letters.
    without : tuple of str
        Columns that say who won in another way; with one of them the table is of another format.
    columns : mapping of str to tuple of str
        For each role the names of its column in this format.
    winner : callable, optional
        The winner from `winner_columns`; where it is None, one column of words holds it.
    winner_columns : tuple of tuple of str
        What `winner` takes; the first must be there, others may be missing.
    nested : bool
        Whether a row can hold several votes, which are taken out first (`unfold`).
    fields : mapping of str to str
        Of a nested format, the columns of the rows taken out of it that are called otherwise in its records,
        and the field that each is read from.
    sides : bool
        Whether the first answer stood on one side for the person who voted. Otherwise the order of the two
        columns was fixed in another way, as by who won, and says nothing of how votes were cast.
    no_users : str
        Why the published tables of this format have no column of users, if so.
    """

    name: str
    title: str
    needs: tuple[Names, ...]
    without: Names = ()
    columns: Mapping[str, Names] = field(default_factory=dict)
    winner: Build | None = None
    winner_columns: tuple[Names, ...] = ()
    nested: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    sides: bool = True
    no_users: str = ""

    def missing(self, plain: Sequence[str]) -> list[str]:
        """The columns that a table with these would have to have, too."""
        return [
            " or ".join(map(repr, names))
            for names in self.needs
            if not any(matching(plain, name) for name in names)
        ]

    def fits(self, plain: Sequence[str]) -> bool:
        """Whether a table with these columns is of this format."""
        return not self.missing(plain) and not set(self.without) & set(plain)

    def places(self, plain: Sequence[str]) -> tuple[int | None, ...]:
        """Where the columns of the winner stand; None for one that is not there."""
        return tuple(
            next((plain.index(name) for name in names if name in plain), None)
            for names in self.winner_columns
        )


_ONE_HOT = (
    ("winner_model_a", "winner_a"),
    ("winner_model_b", "winner_b"),
    ("winner_tie", "winner_ties"),
    ("winner_both_bad", "winner_tie_both_bad", "winner_bothbad"),
)
_CHOSEN = ("chosen_model", "model_chosen", "chosen_model_name", "chosen_generator", "chosen_name")
_REJECTED = tuple(name.replace("chosen", "rejected") for name in _CHOSEN)
_LISTED = (
    VoteFormat(
        "lmarena",
        "LMArena battles",
        needs=(
            ("model_a",),
            ("model_b",),
            ("winner",),
            ("conv_metadata", "evaluation_session_id", "judge_hash", "anony", "dedup_tag"),
        ),
        columns={"user": ("judge", "judge_hash", "user_id", "evaluation_session_id")},
    ),
    VoteFormat(
        "kaggle",
        "one column for each outcome, as in LMSYS's 55k on Kaggle",
        needs=_ONE_HOT[:2],
        without=("winner",),
        winner=one_hot,
        winner_columns=_ONE_HOT,
        no_users="the published 55k table names no users",
    ),
    VoteFormat(
        "mt-bench",
        "MT-bench human judgments",
        needs=(("question_id",), ("model_a",), ("model_b",), ("winner",), ("judge",), ("turn",)),
        columns={"user": ("judge",)},
    ),
    VoteFormat(
        "mt-bench-pair",
        "MT-bench judgments of a model, in both orders",
        needs=(("model_1",), ("model_2",), ("g1_winner",), ("g2_winner",)),
        nested=True,
        fields={"winner": "g1_winner and g2_winner"},
        sides=False,
    ),
    VoteFormat(
        "comparia",
        "compar:IA votes",
        needs=(("chosen_model_name",), ("both_equal",)),
        without=("winner",),
        columns={
            "user": ("visitor_id", "session_hash"),
            "model_a": ("model_a_name",),
            "model_b": ("model_b_name",),
        },
        winner=name_or_equal,
        winner_columns=(("chosen_model_name",), ("both_equal",)),
    ),
    VoteFormat(
        "alpaca-eval",
        "AlpacaEval annotations",
        needs=(("preference",), ("generator_1",), ("generator_2",)),
        without=("winner",),
        columns={
            "model_a": ("generator_1",),
            "model_b": ("generator_2",),
            "response_a": ("output_1",),
            "response_b": ("output_2",),
        },
        winner=first_or_second,
        winner_columns=(("preference",),),
        sides=False,
    ),
    VoteFormat(
        "arena-hard",
        "Arena-Hard judgments",
        needs=(("games",), ("model",), ("judge",)),
        nested=True,
        fields={
            "model_a": "baseline and model",
            "model_b": "model and baseline",
            "winner": "score in games",
            "game": "games",
        },
    ),
    VoteFormat(
        "helpsteer",
        "HelpSteer2 and HelpSteer3 preferences",
        needs=(
            ("overall_preference", "preference_strength"),
            ("response1", "response_1"),
            ("response2", "response_2"),
        ),
        without=("winner",),
        columns={
            "prompt": ("prompt", "context"),
            "response_a": ("response1", "response_1"),
            "response_b": ("response2", "response_2"),
        },
        winner=below_zero,
        winner_columns=(("overall_preference", "preference_strength"),),
        no_users="the published tables name neither annotators nor models",
    ),
    VoteFormat(
        "chosen-rejected",
        "pairs of a chosen and a rejected answer, with the names of their models",
        needs=(_CHOSEN, _REJECTED),
        without=("winner", "model_a", "model_b"),
        columns={
            "model_a": _CHOSEN,
            "model_b": _REJECTED,
            "response_a": ("chosen", "chosen_response"),
            "response_b": ("rejected", "rejected_response"),
        },
        winner=always_first,
        winner_columns=(_CHOSEN,),
        sides=False,
        no_users="most published tables were made by one model as judge, and name no users",
    ),
    VoteFormat(
        "label-studio",
        "Label Studio exports (JSON)",
        needs=(("annotations",), ("data",)),
        nested=True,
        fields={
            "annotator": "completed_by in annotations",
            "winner": "result in annotations",
            "task": "id",
            "annotation_id": "id in annotations",
            "lead_time": "lead_time in annotations",
        },
    ),
    VoteFormat(
        "label-studio-min",
        "Label Studio exports (JSON_MIN and CSV)",
        needs=(("annotator",), ("annotation_id",)),
        without=("winner",),
        nested=True,
        fields={"winner": "the answer of the control"},
    ),
    VoteFormat(
        "argilla",
        "Argilla exports",
        needs=(
            ("responses", "*.responses", "*_suggestion"),
            ("status", "_server_id", "external_id", "*.responses.users"),
        ),
        nested=True,
        fields={"user": "the user of each response", "winner": "the value of each response"},
    ),
    VoteFormat(
        "openai-evals",
        "event logs of OpenAI evals",
        needs=(("data",), ("run_id", "event_id", "sample_id")),
        nested=True,
        fields={
            "winner": "choice in data",
            "user": "user in data, or created_by",
            "judge": "judge in data, or the last of completion_fns",
        },
    ),
)
FORMATS: dict[str, VoteFormat] = {one.name: one for one in _LISTED}


def format_of(columns: Sequence[str], told: Mapping[str, str | None]) -> VoteFormat | None:
    """The format of a table with these columns: the one that is told, or the first that fits, or None.

    Raises
    ------
    VotesError
        There is no format of that name, or columns are missing that it has.

    Examples
    --------
    >>> format_of(["id", "user", "model_a", "model_b", "winner_model_a", "winner_model_b"], {}).name
    'kaggle'
    """
    plain, name = [plain_name(column) for column in columns], told.get("format")
    if name is None:
        return next((one for one in FORMATS.values() if one.fits(plain)), None)
    if name not in FORMATS:
        near = closest(FORMATS, [name])
        meant = f"did you mean {' or '.join(near)}? All are" if near else "give one of"
        raise VotesError(
            f"format={name!r} is not known (command line: --format {name}): {meant} {', '.join(FORMATS)}"
        )
    missing = FORMATS[name].missing(plain)
    if missing:
        shown = ", ".join(map(repr, columns[:12]))
        raise VotesError(
            f"this is no table of the format {name} ({FORMATS[name].title}), which has a column "
            f"{'; and one '.join(missing)}: leave format out, or name the columns (columns: {shown})"
        )
    return FORMATS[name]
