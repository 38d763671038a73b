"""Texts into prompt, chosen and rejected: plain, as messages, mixed, missing, equal."""

import numpy as np
import pyarrow as pa
import pytest

from emjax.data.texts import PairMaker, find_texts, have_texts
from emjax.errors import VotesError

PLACE = {"prompt": 0, "response_a": 1, "response_b": 2}


def said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def pairs_of(prompts, first, second, first_won, **kinds):
    maker = PairMaker(PLACE)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(prompts, kinds.get("prompt")), pa.array(first), pa.array(second)], names=["p", "a", "b"]
    )
    columns, used = maker.pairs(batch, np.array(first_won), np.arange(len(prompts)) + 10)
    return maker, {name: values.to_pylist() for name, values in columns.items()}, used.tolist()


def test_the_winner_is_chosen():
    _, columns, used = pairs_of(["p", "q"], ["a1", "a2"], ["b1", "b2"], [True, False])
    assert columns == {"prompt": ["p", "q"], "chosen": ["a1", "b2"], "rejected": ["b1", "a2"]}
    assert used == [0, 1]


def test_messages_stay_messages_and_keep_role_and_content_alone():
    prompts = [[{"role": "user", "content": "p", "id": 3}]]
    _, columns, _ = pairs_of(prompts, [said("assistant", "a")], [said("assistant", "b")], [False])
    assert columns["prompt"] == [said("user", "p")]
    assert (columns["chosen"], columns["rejected"]) == ([said("assistant", "b")], [said("assistant", "a")])


@pytest.mark.parametrize("prompt_text", [True, False])
def test_text_beside_messages_becomes_messages(prompt_text):
    prompt = "p" if prompt_text else said("user", "p")
    answers = [said("assistant", word) if prompt_text else word for word in "ab"]
    _, columns, _ = pairs_of([prompt], [answers[0]], [answers[1]], [True])
    assert columns["prompt"] == [said("user", "p")]
    assert (columns["chosen"], columns["rejected"]) == ([said("assistant", "a")], [said("assistant", "b")])


def test_equal_answers_are_left_out_and_counted():
    maker, columns, used = pairs_of(["p", "q", "r"], ["a", "b", "c"], ["a", "x", "c"], [True] * 3)
    assert columns["chosen"] == ["b"] and used == [1] and maker.equal == 2
    maker.check()
    maker, _, _ = pairs_of([said("user", "p")], [said("assistant", "a")], [said("assistant", "a")], [True])
    with pytest.raises(VotesError, match="in all 1 kept votes the two answers are the same"):
        maker.check()


@pytest.mark.parametrize("place, called", [(0, "prompt"), (1, "answer of model A"), (2, "answer of model B")])
def test_missing_texts_are_counted_and_the_first_is_named(place, called):
    columns = [["p"] * 4, ["a"] * 4, ["b"] * 4]
    columns[place] = [columns[place][0], None, columns[place][0], None]
    maker, kept, _ = pairs_of(*columns, [True] * 4)
    assert len(kept["prompt"]) == 2
    with pytest.raises(VotesError, match=f"2 of 4 kept votes have no {called}, first at data row 12:"):
        maker.check()


def test_all_that_is_missing_is_named_in_one_line():
    maker, _, _ = pairs_of(["p", " ", "p"], ["a", "a", "\u00a0"], ["b", "b", "b"], [True] * 3)
    with pytest.raises(
        VotesError,
        match=r"1 of 3 kept votes have no prompt, .* row 12; 1 of 3 .* model A, first at data row 13:",
    ):
        maker.check()


def test_a_batch_that_disagrees_with_those_before_is_refused():
    maker = PairMaker(PLACE)
    for prompt in ('["p"]', "p"):
        batch = pa.RecordBatch.from_arrays(
            [pa.array([text]) for text in (prompt, "a", "b")], names=list("pab")
        )
        maker.pairs(batch, np.array([True]), np.arange(1))
    with pytest.raises(VotesError, match="1 prompts are plain text, while others are JSON lists"):
        maker.check()


def test_turns_in_one_column_of_answers_and_text_in_the_other_are_refused():
    with pytest.raises(
        VotesError, match="'a' holds JSON lists of turns in all its rows, and column 'b' plain"
    ):
        pairs_of(["p"], ['["a"]'], ["b"], [True])


def test_a_prompt_without_messages_is_missing():
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    maker, _, _ = pairs_of([[], said("user", "p")], ["a", "a"], ["b", "b"], [True] * 2, prompt=kind)
    with pytest.raises(VotesError, match="1 of 2 kept votes have no prompt"):
        maker.check()


def test_a_column_of_numbers_holds_no_text():
    with pytest.raises(VotesError, match="column 'p' holds neither text nor lists of messages"):
        pairs_of([1], ["a"], ["b"], [True])


def test_columns_are_recognised_or_named():
    names = ["user", "Instruction", "output_a", "output-b"]
    assert find_texts(names, {}) == {"prompt": 1, "response_a": 2, "response_b": 3}
    assert have_texts(names, {}) and not have_texts(["prompt", "model_a", "model_b"], {})
    assert have_texts(["x", "y"], {"prompt": "x"})
    answers = {"response_a": "response_a", "response_b": "response_b"}
    assert find_texts(["response_a", "response_b"], answers) == {"response_a": 0, "response_b": 1}
    assert find_texts(["response_a", "response_b"], {}, prompt_in_answers=True)["response_b"] == 1
    with pytest.raises(
        VotesError, match=r"no column holds the prompt, the closest is 'prompts'.*--prompt COLUMN"
    ):
        find_texts(["prompts", "response_a", "response_b"], {})
