"""What a check of votes says: training texts, and sides where the columns are none."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from vote_files import TABLE_TYPES, source_of

import emjax
from emjax.data.vote_check import check_votes
from emjax.train import to_dpo_dataset

USERS = {"user": [1, 1, 2, 2, 3, 3], "model_a": ["x"] * 6, "model_b": ["y"] * 6}
VOTES = {**USERS, "winner": ["a", "b", "tie", "a", "b", "a"]}
TEXTS = {
    "question": ["2 + 2?"] * 6,
    "answer_a": ["1", "2", "", "4", "", "6"],
    "answer_b": ["1", "3", "4", "5", "5", ""],
}


@pytest.mark.parametrize("kind", TABLE_TYPES)
def test_training_pairs_are_counted_with_the_first_of_those_left_out(kind, tmp_path):
    found = check_votes(source_of(kind, VOTES | TEXTS, tmp_path)).texts
    assert found is not None
    assert found.columns == {"prompt": "question", "response_a": "answer_a", "response_b": "answer_b"}
    assert (found.rows, found.rows_are, found.pairs) == (5, "votes for one side", 2)
    assert found.left_out == (("pairs of equal answers", 1, 1),)
    (problem,) = found.problems
    assert problem.startswith(
        "1 of 5 votes for one side have no answer of model A, first at data row 5; 1 of"
    )
    said = str(check_votes(source_of(kind, VOTES | TEXTS, tmp_path)))
    assert "\ntexts: prompt from 'question', response_a from 'answer_a'" in said
    assert "\ntraining pairs: 2 of 5 votes for one side give one; pairs of equal answers, 1, first at" in said
    assert "\nrefused in training pairs: 1 of 5 votes" in said


def test_the_pairs_are_those_of_a_filter(tmp_path):
    table = pa.table(VOTES | TEXTS).slice(0, 4)
    found = check_votes(table).texts
    fit = emjax.fit_em(emjax.read_votes(table), emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
    assert found is not None and found.problems == ()
    assert found.pairs == len(to_dpo_dataset(table, fit, emjax.Weights(), folder=tmp_path / "dpo")) == 2


def said_by(answers, **columns):
    """A conversation with each answer, as the rows of a table."""
    first = {"role": "user", "content": "2 + 2?"}
    rows = [[first, {"role": "assistant", **answer}] for answer in answers]
    return {"conversation_a": rows, "conversation_b": rows[::-1], **columns}


def test_tool_calls_and_other_prompts_are_named(tmp_path):
    call = {"content": "", "tool_calls": [{"id": "c1"}]}
    texts = said_by([{"content": "4"}, call, {"content": "3"}, {"content": "5"}])
    texts["conversation_a"][0] = [{"role": "user", "content": "3 + 1?"}, *texts["conversation_a"][0][1:]]
    table = {**VOTES, **texts}
    rows = [json.dumps({name: column[row] for name, column in table.items()}) for row in (0, 1, 3)]
    (tmp_path / "v.jsonl").write_text("\n".join(rows))
    found = check_votes(tmp_path / "v.jsonl").texts
    assert found is not None and "prompt" not in found.columns
    assert found.rows == 3 and found.pairs == 1
    assert [entry[1:] for entry in found.left_out] == [(1, 1)]
    (problem,) = found.problems
    assert "1 answers of model A hold tool_calls, which are not kept, first at data row 2: " in problem


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"prompt": [1.5] * 6, **TEXTS}, "refused in training pairs: column 'prompt' holds neither text nor"),
        ({"answer_a": ["x"] * 6, "answer_b": ["y"] * 6}, "no training pairs: no column holds the prompt"),
        ({**TEXTS, "instruction": ["?"] * 6}, "no training pairs: the prompt could be any of 'question'"),
    ],
)
def test_texts_that_cannot_be_read_are_said_and_no_error(texts, says):
    found = check_votes(pa.table(VOTES | texts))
    assert says in str(found) and found.votes == 5 and found.problems == ()


def test_other_names_of_texts_are_told():
    texts = {"asked": ["2 + 2?"] * 6, "one": ["4"] * 6, "other": ["5"] * 6}
    assert check_votes(pa.table(VOTES | texts)).texts is None
    votes = pa.table(VOTES | texts)
    found = check_votes(votes, prompt="asked", response_a="one", response_b="other").texts
    assert found is not None and found.pairs == 5


def test_rows_are_looked_at_where_votes_cannot_be_read():
    found = check_votes(pa.table({**VOTES, **TEXTS, "winner": ["?"] * 6}))
    assert found.problems and found.texts is not None
    assert (found.texts.rows, found.texts.rows_are, found.texts.pairs) == (6, "rows", 2)


def test_no_side_is_said_to_win_where_the_winner_comes_first():
    pairs = {"annotator": [1, 1, 2], "chosen-model": ["x"] * 3, "rejected-model": ["y"] * 3}
    found = check_votes(pd.DataFrame(pairs))
    assert found.form == "chosen-rejected" and found.share_first is None
    assert "first column" not in str(found)
    assert "the model in the first column won 60.0% of" in str(check_votes(pa.table(VOTES)))


def test_the_note_on_a_side_is_not_for_formats_without_sides():
    people = {"user": list(range(60)), "winner": ["a"] * 60}
    left = {"left_model": ["x"] * 60, "right_model": ["y"] * 60}
    with pytest.warns(emjax.EmjaxWarning, match="100% of the decided votes went to 'left_model'"):
        emjax.read_votes(pa.table(people | left))
    chosen = {"user": people["user"], "chosen_model": ["x"] * 60, "rejected_model": ["y"] * 60}
    votes = pa.table(chosen | left)
    assert emjax.read_votes(votes, model_a="left_model", model_b="right_model").n_votes == 60
