"""Unfolding: records of tools that hold several votes, or nest them in other fields, made one row per vote.

Each function takes one record and yields rows of plain values; what a row does not say is not there. A row
without a winner has None in its place, and the rule for empty winners applies to it. An answer that is no
vote, because it was cancelled or not submitted, is yielded as the words for what it is, and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from emjax.data.near_names import plain_name
from emjax.data.vote_formats import VoteFormat, format_of
from emjax.errors import VotesError

Record = Mapping[str, Any]
Row = dict[str, Any]
Found = Iterator[Row | str]  # rows, and in words what is none

# The name of one answer, such as "response-2"; a comparison of two, such as "A>B", is a word for the winner.
_NAMED = re.compile(r"^[a-z]+[-_ ]*(?:(a|1|one|left|first)|(?:b|2|two|right|second))$")
_LETTER_AT_END = re.compile(r"[-_ \d]")
_QUESTIONS = ("preference", "winner", "choice", "vote", "preferred", "ranking", "label", "better", "verdict")
_CHOICES = ("choice", "winner", "preference", "preferred", "vote", "verdict")
_USERS = ("user", "user_id", "judge", "judge_id", "annotator", "rater", "grader")
_CANCELLED = "cancelled annotations"
_UNSUBMITTED = ("draft", "discarded", "pending")  # states of a response in Argilla
_SAYS = {"yes": "model_a", "no": "model_b"}


def unfolding(columns: Sequence[str], told: Mapping[str, str | None]) -> VoteFormat | None:
    """The format whose records with these keys must be unfolded; None where rows can be read as they are."""
    if all(told.get(role) is not None for role in ("user", "model_a", "model_b", "winner")):
        return None
    form = format_of(columns, told)
    return form if form is not None and form.nested else None


def unfolded(
    form: VoteFormat,
    records: Iterable[Record],
    told: Mapping[str, str | None],
    left_out: Counter[str] | None = None,
) -> Iterator[Row]:
    """The votes in records of a format, one row each.

    Parameters
    ----------
    form : VoteFormat
        One that is `nested`.
    records : iterable of mapping
    told : mapping
        Of it only `winner` is used: the question that was asked, where a record answers several.
    left_out : Counter, optional
        To which is added what the records hold that is no vote: answers cancelled, or not submitted.

    Examples
    --------
    >>> from emjax.data.vote_formats import FORMATS
    >>> game = {"question_id": 7, "model": "new", "judge": "j", "baseline": "old",
    ...         "games": [{"score": "A>>B"}, {"score": "A=B"}]}
    >>> [(row["model_a"], row["winner"]) for row in unfolded(FORMATS["arena-hard"], [game], {})]
    [('old', 'A>>B'), ('new', 'A=B')]
    """
    for row in _UNFOLD[form.name](records, told.get("winner")):
        if not isinstance(row, str):
            yield row
        elif left_out is not None:
            left_out[row] += 1


def without_votes(form: VoteFormat, where: str, left_out: Mapping[str, int]) -> VotesError:
    """The error for records of a format that hold no vote, with what they hold instead."""
    said = f" ({', '.join(f'{what}, {many:,}' for what, many in left_out.items())})" if left_out else ""
    return VotesError(f"{where} is of the format {form.name} ({form.title}), and holds no votes{said}")


def _each(function: Callable[[Record, str | None], Found]) -> Callable[..., Found]:
    def rows(records: Iterable[Record], question: str | None) -> Found:
        for record in records:
            yield from function(record, question)

    return rows


def _arena_hard(record: Record, _: str | None) -> Found:
    """Two games against a baseline: it is A in the first, and B in the second."""
    model, baseline = record.get("model"), record.get("baseline") or "baseline"
    rest = {key: value for key, value in record.items() if key not in ("games", "model", "baseline", "judge")}
    for number, game in enumerate(_list(record.get("games"))):
        sides = (baseline, model) if number % 2 == 0 else (model, baseline)
        score = game.get("score") if isinstance(game, Mapping) else None
        yield {
            "judge": _name(record.get("judge")),
            "model_a": sides[0],
            "model_b": sides[1],
            "winner": score,
            "game": number + 1,
            **rest,
        }


def _mt_bench_pair(record: Record, _: str | None) -> Found:
    """One judgment in each order of the answers; both name the winner by its column."""
    rest = {key: value for key, value in record.items() if key not in ("g1_winner", "g2_winner", "judge")}
    for key, first in (("g1_winner", "model_1"), ("g2_winner", "model_2")):
        word = record.get(key)
        yield {
            "judge": _name(record.get("judge")),
            **rest,
            "winner": None if word == "error" else word,
            "shown_first": first,
        }


def _label_studio(record: Record, _: str | None) -> Found:
    """One row per annotation that was not cancelled."""
    data = record.get("data")
    data = data if isinstance(data, Mapping) else {}
    for annotation in _list(record.get("annotations")):
        if not isinstance(annotation, Mapping):
            yield "annotations without content"
            continue
        if _true(annotation.get("was_cancelled")):
            yield _CANCELLED
            continue
        yield {
            **_beside(data, ("annotator", "winner", "task", "annotation_id")),
            "annotator": _annotator(annotation.get("completed_by")),
            "winner": _selected(annotation.get("result")),
            "task": record.get("id"),
            "annotation_id": annotation.get("id"),
            "lead_time": annotation.get("lead_time"),
        }


def _label_studio_min(record: Record, question: str | None) -> Found:
    """One annotation, whose answer stands under the name that the control has in the project."""
    if _true(record.get("was_cancelled")):
        yield _CANCELLED
        return
    if question is not None and question in record:
        key: str | None = question
    else:
        answers = [key for key, value in record.items() if _choice(value) is not None]
        named = [key for key in answers if plain_name(key) in _QUESTIONS]
        key = next(iter(named or answers), None)
    rest = {name: value for name, value in record.items() if name != key}
    word = None if key is None else _choice(record[key])
    yield {
        **_beside(rest, ("annotator", "winner")),
        "annotator": _annotator(record.get("annotator")),
        question or "winner": word,
    }


def _argilla(record: Record, question: str | None) -> Found:
    """One row per submitted answer to the question of preference, in any shape that Argilla writes."""
    answers = _argilla_answers(record)
    name = question if question is not None else _question(list(answers))
    rest: Row = {}
    for key, value in record.items():
        inside = key in ("fields", "metadata") and isinstance(value, Mapping)
        taken = key in answers or key in ("responses", "suggestions", "vectors") or ".responses" in key
        rest |= dict(value) if inside else {} if taken else {key: value}
    given = answers.get(name, []) if name is not None else []
    for user, value, state in given:
        if state not in (None, "submitted"):
            yield f"{state} responses" if state in _UNSUBMITTED else "responses that were not submitted"
            continue
        yield {
            **_beside(rest, ("user", "winner")),
            "user": user,
            question or "winner": _side(_best(value)),
        }


def _argilla_answers(record: Record) -> dict[str, list[tuple[Any, Any, Any]]]:
    """For each question of a record, who answered what, and whether that was submitted."""
    found: dict[str, list[tuple[Any, Any, Any]]] = {}
    responses = record.get("responses")
    if isinstance(responses, Mapping):
        for name, listed in responses.items():
            found[name] = _with_states(listed)
    for key, value in record.items():
        if key.endswith(".responses"):
            # a list that is too short leaves a vote without its user, which an error counts
            parts = (_list(record.get(f"{key}.users")), _list(value), _list(record.get(f"{key}.status")))
            found[key.removesuffix(".responses")] = list(zip_longest(*parts))
        elif isinstance(value, list) and value and all(_is_answer(one) for one in value):
            found[key] = _with_states(value)
    return found


def _is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and "user_id" in value


def _with_states(listed: Any) -> list[tuple[Any, Any, Any]]:
    answers = [one for one in _list(listed) if isinstance(one, Mapping)]
    return [(one.get("user_id"), one.get("value"), one.get("status")) for one in answers]


def _question(names: Sequence[str]) -> str | None:
    """The question that asks for the better answer, by its name; the only one, if there is one."""
    known = [name for wanted in _QUESTIONS for name in names if plain_name(name) == wanted]
    if known or len(names) < 2:
        return next(iter(known or names), None)
    listed = ", ".join(map(repr, names[:5]))
    raise VotesError(
        f"the records answer several questions ({listed}): say which one is the vote with winner='NAME' "
        "(command line: --winner NAME)"
    )


def _openai_evals(records: Iterable[Record], _: str | None) -> Found:
    """Events whose data hold a choice. Where no event names a judge, it is the last model of the run."""
    run: Row = {}
    for record in records:
        spec, data = record.get("spec"), record.get("data")
        if isinstance(spec, Mapping):
            functions = _list(spec.get("completion_fns"))
            run = {"judge": functions[-1]} if functions else {}
        if not isinstance(data, Mapping):
            continue
        choice = next((key for key in _CHOICES if key in data), None)
        if choice is None:
            continue
        word = str(data[choice]) if data[choice] is not None else None
        word = None if word in (None, "", "__invalid__") else _SAYS.get(word.strip().lower(), word)
        outer = {key: value for key, value in record.items() if key not in ("data", "type")}
        inner = {key: value for key, value in data.items() if key != choice}
        row = {**outer, **inner, "winner": word}
        if not set(_USERS) & set(row):
            row |= {"user": record["created_by"]} if record.get("created_by") else run
        yield row


_UNFOLD: dict[str, Callable[[Iterable[Record], str | None], Found]] = {
    "arena-hard": _each(_arena_hard),
    "mt-bench-pair": _each(_mt_bench_pair),
    "label-studio": _each(_label_studio),
    "label-studio-min": _each(_label_studio_min),
    "argilla": _each(_argilla),
    "openai-evals": _openai_evals,
}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _true(value: Any) -> bool:
    """Whether a value is true, also as text in a CSV."""
    return value.strip().lower() in ("true", "1") if isinstance(value, str) else bool(value)


def _name(value: Any) -> Any:
    """A name in several parts, such as a judge and its prompt, as one."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _annotator(value: Any) -> Any:
    """Who annotated, as a number or with an e-mail address."""
    if isinstance(value, Mapping):
        return next((value[key] for key in ("email", "id", "username") if value.get(key) is not None), None)
    return value


def _beside(row: Record, taken: Sequence[str]) -> Row:
    """A row in which names that are given to something else have a prefix."""
    return {f"data_{key}" if key in taken else key: value for key, value in row.items()}


def _selected(result: Any) -> Any:
    """What an annotation chose: the answer of a pairwise control, or else of one with choices."""
    given = [one for one in _list(result) if isinstance(one, Mapping)]
    for kind in ("pairwise", "choices"):
        for one in given:
            if one.get("type") == kind:
                return _choice(one.get("value"))
    return None


def _choice(value: Any) -> Any:
    """The one word in what a control of Label Studio wrote; None where it is something else."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            value = json.loads(value)
        except ValueError:
            return None
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(value, Mapping):
        return None
    word = value.get("selected", value.get("choices"))
    word = word[0] if isinstance(word, list) and len(word) == 1 else word
    return word if isinstance(word, str) else None


def _best(value: Any) -> Any:
    """The answer of a question, or of a ranking the first; a tie where two share the first rank."""
    ranked = [
        one for one in _list(value) if isinstance(one, Mapping) and isinstance(one.get("rank"), int | float)
    ]
    if not ranked:
        return value[0] if isinstance(value, list) and len(value) == 1 else value
    top = min(one["rank"] for one in ranked)
    first = [one.get("value") for one in ranked if one["rank"] == top]
    return first[0] if len(first) == 1 else "tie"


def _side(word: Any) -> Any:
    """The words of a vote for the name of one answer, such as "response-2"; others as they are."""
    if not isinstance(word, str):
        return word
    text = word.strip().lower()
    named = _NAMED.match(text)
    if named is None or not _LETTER_AT_END.search(text):  # "banana" names no side
        return word
    return "model_a" if named[1] else "model_b"
