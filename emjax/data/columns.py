"""Column recognition: which column of a table holds the user, the models, the winner and the texts."""

import re
from collections.abc import Mapping, Sequence

import narwhals as nw

from emjax.data.near_names import closest, plain_name
from emjax.data.row_rules import Reading, RowRules
from emjax.data.vote_formats import FORMATS, VoteFormat, format_of
from emjax.data.winner_expressions import winner_expression
from emjax.errors import VotesError

ROLES = ("user", "model_a", "model_b", "winner")
EXTRAS = ("shown_first", "context", "gold")  # columns that are only searched for when they are named
COLUMN_OPTIONS = (*ROLES, *EXTRAS, "format")  # of `read_votes`: names of columns, or of their layout
TEXTS = ("prompt", "response_a", "response_b")
_ONE_OUTCOME = re.compile(r"(^|_)(tie|ties|draw|a|b|1|2|left|right)($|_)")
_UNFOLDED = "unfolded"  # told beside the roles: the nested format that rows were taken out of
_FEATURE = "feature "  # and a number: the columns that votes are stratified by

_ANSWER = ("response", "answer", "completion", "output", "text")
# Names that are recognised without being told, in lower case with underscores.
_KNOWN = {
    "user": (
        *("user", "user_id", "userid", "worker", "worker_id", "workerid", "judge", "judge_id"),
        *("annotator", "annotator_id", "rater", "rater_id", "voter", "voter_id", "labeler", "labeler_id"),
    ),
    "model_a": ("model_a", "model_x", "model_1", "model1", "left_model", "model_left", "first_model"),
    "model_b": ("model_b", "model_y", "model_2", "model2", "right_model", "model_right", "second_model"),
    "winner": ("winner", "vote", "outcome", "preference", "preferred", "choice", "label"),
    "prompt": ("prompt", "question", "instruction", "input"),
    "response_a": ("response_a", "answer_a", "completion_a", "output_a", "text_a", "conversation_a"),
    "response_b": ("response_b", "answer_b", "completion_b", "output_b", "text_b", "conversation_b"),
}
# The same, where none of those is there.
_ALSO = {
    "user": (
        *("visitor", "visitor_id", "participant", "participant_id", "respondent", "respondent_id"),
        *("evaluator", "evaluator_id", "reviewer", "reviewer_id", "username", "user_name", "judge_hash"),
    ),
    "model_a": ("model_a_name", "model_name_a", "generator_1", "system_a", "model_id_a"),
    "model_b": ("model_b_name", "model_name_b", "generator_2", "system_b", "model_id_b"),
    "winner": (
        "chosen_model_name",
        "preferred_model",
        "winning_model",
        "winner_model",
        "verdict",
        "judgment",
    ),
    "response_a": tuple(f"{what}{number}" for number in ("_1", "1") for what in _ANSWER),
    "response_b": tuple(f"{what}{number}" for number in ("_2", "2") for what in _ANSWER),
}
_CALLED = {
    "user": "the user",
    "model_a": "model A",
    "model_b": "model B",
    "winner": "the winner",
    "shown_first": "the model shown first",
    "context": "the context",
    "gold": "the right answer",
    "prompt": "the prompt",
    "response_a": "the answer of model A",
    "response_b": "the answer of model B",
}


def recognise(
    columns: Sequence[str],
    told: Mapping[str, str | None],
    *,
    where: str = "",
    roles: Sequence[str] = ROLES,
) -> dict[str, int]:
    """Position of the column that holds each of user, model_a, model_b and winner.

    Parameters
    ----------
    columns : sequence of str
        The names of the table's columns.
    told : dict
        For each role the name that the caller gave, or None to look for one.
    where : str
        Where the table comes from, as in "in votes.csv".
    roles : sequence of str
        What is searched for, if it is something else: `TEXTS`, for instance.

    Returns
    -------
    dict of str to int

    Raises
    ------
    VotesError
        A role has no column, or more than one; the message names the closest columns and the option to give.

    Examples
    --------
    >>> recognise(["id", "Worker ID", "model_x", "model_y", "winner"], {})
    {'user': 1, 'model_a': 2, 'model_b': 3, 'winner': 4}
    """
    found, problems = {}, []
    form = format_of(columns, told)
    for role in roles:
        name = told.get(role)
        if role == "winner" and several_columns(columns, told) is not None:
            continue  # no one column holds it: `role_expressions` puts it together
        matches = _matches(columns, role, form) if name is None else _named(columns, name)
        if len(matches) == 1:
            found[role] = matches[0]
        elif matches:
            listed = ", ".join(repr(columns[match]) for match in matches)
            problems.append(f"{_called(role)} could be any of {listed}: say which with {_option(role)}")
        else:
            problems.append(_missing(columns, role, name))
    if problems and "user" in roles and "user" not in found and form is not None and form.no_users:
        problems.append(
            f"this is the format {form.name} ({form.title}), and {form.no_users}: attentiveness can only be "
            "inferred from several votes of each user"
        )
    if problems and {"chosen", "rejected"} <= {plain_name(name) for name in columns}:
        problems.append(
            "pairs of a chosen and a rejected answer without the names of two models do not show who votes "
            "carelessly: give those columns, or votes of several users on the same pairs with "
            "context='COLUMN' (command line: --item COLUMN)"
        )
    if problems:
        taken = f", taken out of the format {told[_UNFOLDED]}" if told.get(_UNFOLDED) else ""
        listed = f"(columns{' ' + where if where else ''}{taken}: {_list(columns, told)})"
        raise VotesError(f"{'; '.join(problems)} {listed}")
    return found


def as_unfolded(told: Mapping[str, str | None], form: VoteFormat) -> dict[str, str | None]:
    """What is told of the rows taken out of the records of a format."""
    return {**told, "format": None, _UNFOLDED: form.name}


def field_of(column: str, told: Mapping[str, str | None]) -> str | None:
    """The field of a nested format from which a column was read; None where it has the same name."""
    name = told.get(_UNFOLDED)
    return None if name is None else FORMATS[name].fields.get(column)


def in_words(column: str, told: Mapping[str, str | None]) -> str:
    """A column as messages name it, with the field of a nested format from which it was read.

    Examples
    --------
    >>> in_words("annotator", as_unfolded({}, FORMATS["label-studio"]))
    "'annotator' (from completed_by in annotations of the format label-studio)"
    """
    field = field_of(column, told)
    return repr(column) if field is None else f"{column!r} (from {field} of the format {told[_UNFOLDED]})"


def several_columns(
    columns: Sequence[str], told: Mapping[str, str | None]
) -> tuple[VoteFormat, tuple[int | None, ...]] | None:
    """The format of a table that says who won in several columns or in numbers, and where these stand."""
    form = format_of(columns, told)
    if form is None or form.winner is None or told.get("winner") is not None:
        return None
    return form, form.places([plain_name(name) for name in columns])


def role_expressions(
    columns: Sequence[str], told: Mapping[str, str | None], held: Sequence[str], *, where: str = ""
) -> list[nw.Expr]:
    """For each role that is asked for, the expression that gives its column.

    Parameters
    ----------
    columns : sequence of str
        The names of the table's columns.
    told, where
        As for `recognise`.
    held : sequence of str
        What the same columns are called where the expressions are used.
    """
    roles = asked(told)
    place = recognise(columns, told, where=where, roles=roles)
    given = {role: nw.col(held[at]) for role, at in place.items()}
    own = several_columns(columns, told)
    if own is not None:
        form, positions = own
        assert form.winner is not None
        given["winner"] = winner_expression(
            form.winner, [None if at is None else held[at] for at in positions]
        )
    return [given[role].alias(role) for role in roles]


def columns_read(columns: Sequence[str], told: Mapping[str, str | None]) -> dict[str, str]:
    """For each role that is asked for the name of its column, or in words that several columns hold it."""
    roles = asked(told)
    place = recognise(columns, told, roles=roles)
    own = several_columns(columns, told)
    used = [columns[at] for at in own[1] if at is not None] if own is not None else []
    return {role: columns[place[role]] if role in place else " and ".join(used) for role in roles}


def reading_of(
    columns: Mapping[str, str],
    told: Mapping[str, str | None],
    rules: RowRules,
    form: VoteFormat | None,
    *,
    typed: bool = True,
) -> Reading:
    """How the cells of a table are understood.

    Parameters
    ----------
    columns, told : mapping
        What `columns_read` gave, and what it was told.
    rules : RowRules
    form : VoteFormat, optional
        The format that the table was recognised as.
    typed : bool
        As in `Reading`.
    """
    fields = {role: field_of(column, told) for role, column in columns.items()}
    if form is not None and form.winner is not None and told.get("winner") is None:
        fields["winner"] = columns["winner"]
    return Reading(
        called=(columns["model_a"], columns["model_b"]),
        typed=typed,
        rules=rules,
        read_from={role: field for role, field in fields.items() if field},
        form="" if form is None else form.name,
        unfolded=told.get(_UNFOLDED) is not None,
    )


def asked(told: Mapping[str, str | None]) -> tuple[str, ...]:
    """The roles that a table is read for: the four, and those of `EXTRAS` and features that were named."""
    named = tuple(role for role in EXTRAS if told.get(role) is not None)
    return ROLES + named + tuple(role for role in told if role.startswith(_FEATURE))


def features_told(columns: Sequence[str]) -> dict[str, str]:
    """Roles of the columns that votes are stratified by, to be told with the others.

    Examples
    --------
    >>> features_told(["seconds", "hour"])
    {'feature 0': 'seconds', 'feature 1': 'hour'}
    """
    return {f"{_FEATURE}{number}": column for number, column in enumerate(columns)}


def columns_in_words(columns: Mapping[str, str], read_from: Mapping[str, str]) -> str:
    """In one line, for each role the column that holds it; with the field that it was read from, if any.

    Examples
    --------
    >>> columns_in_words({"user": "annotator", "winner": "winner"}, {"winner": "result in annotations"})
    "user from 'annotator', winner from 'winner' (from result in annotations)"
    """
    said = []
    for role, column in columns.items():
        short = "a feature or covariate" if role.startswith(_FEATURE) else role
        field = f" (from {read_from[role]})" if read_from.get(role, column) != column else ""
        said.append(f"{short} from {column!r}{field}")
    return ", ".join(said)


def _called(role: str) -> str:
    return "a feature or covariate of votes" if role.startswith(_FEATURE) else _CALLED[role]


def _matches(columns: Sequence[str], role: str, form: VoteFormat | None) -> list[int]:
    """A column with the very name of the role settles it; otherwise all that could be meant."""
    plain = [plain_name(name) for name in columns]
    own = [(name,) for name in form.columns.get(role, ())] if form is not None else []
    tiers = (role,), *own, _KNOWN[role], _ALSO.get(role, ())
    found = ([position for position, name in enumerate(plain) if name in names] for names in tiers)
    return next((matches for matches in found if matches), [])


def _named(columns: Sequence[str], name: str) -> list[int]:
    exact = [position for position, column in enumerate(columns) if column == name]
    return exact or [
        position for position, column in enumerate(columns) if plain_name(column) == plain_name(name)
    ]


def _missing(columns: Sequence[str], role: str, name: str | None) -> str:
    near = closest(columns, _KNOWN[role] if name is None else (name,))
    if (
        role == "winner"
    ):  # a column that says whether one of the outcomes occurred would count the others wrongly
        near = [column for column in near if not _ONE_OUTCOME.search(plain_name(column))]
    close = f", the closest is {' or '.join(map(repr, near))}" if near else ""
    what = f"no column holds {_called(role)}" if name is None else f"there is no column {name!r}"
    return f"{what}{close}: give {_option(role)}"


def _option(role: str) -> str:
    if role.startswith(_FEATURE):
        return (
            "vote_features=['COLUMN', ...] or covariates=['COLUMN', ...] (command line: --vote-features, "
            "--covariates)"
        )
    return f"{role}='COLUMN' (command line: --{role.replace('_', '-')} COLUMN)"


def _list(columns: Sequence[str], told: Mapping[str, str | None]) -> str:
    fields = [(column, field_of(column, told)) for column in columns[:12]]
    shown = ", ".join(repr(name) + (f" from {field}" if field else "") for name, field in fields)
    return f"{shown} and {len(columns) - 12} more" if len(columns) > 12 else shown or "none"
