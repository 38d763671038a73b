"""Turns, messages and content parts as one conversation; and the same texts in every type of file."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.data.message_texts import Unusable, answer_start, divide, form_of, is_missing, parsed, read_entry
from emjax.data.row_matching import opened_rows
from emjax.errors import EmjaxWarning, VotesError
from emjax.train.pairs import decide_rows, write_rows


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0", "\u3000\u200b", "\ufeff"])
def test_text_without_a_visible_character_is_missing(text):
    assert is_missing(text) and is_missing([assistant(text)]) and is_missing([user(text), assistant("a")])
    assert form_of(text) == "nothing" and read_entry(text) == []
    assert not is_missing(f"{text}0")


@pytest.mark.parametrize(
    "text, form",
    [
        ('["q", null]', "turns"),
        (' [{"role": "user", "content": "q"}]\n', "messages"),
        ('{"role": "user", "content": "q"}', "messages"),
        ('[{"from": "human", "value": "q"}]', "messages"),
        ("[{'role': 'user', 'content': 'q'}]", "printed"),
        ("['q' 'r']", "printed"),
        ("null", "nothing"),
        ("[1, 2]", "text"),
        ('{"name": "Ann"}', "text"),
        ('[{"role": "editor", "name": "Ann"}]', "text"),
        ("[see below]", "text"),
        ("[" * 5000, "text"),
        ("plain", "text"),
    ],
)
def test_the_form_of_a_text(text, form):
    assert form_of(text) == form
    assert (parsed(text) is not None) == (form in ("turns", "messages"))


@pytest.mark.parametrize(
    "held, entry",
    [
        ("q", ["q"]),
        (None, []),
        ([], []),
        (["q", None], ["q", ""]),
        (user("q"), [user("q")]),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], [user("q"), assistant("a")]),
        ([{"role": "User", "content": "q", "id": "7", "tokens": 3, "tool_calls": None}], [user("q")]),
        ([{"role": "user", "content": "q", "tool_calls": [{"function": {"name": None}}]}], [user("q")]),
        ([user([{"type": "text", "text": "a"}, {"type": "text", "text": "b", "image": None}])], [user("ab")]),
        ([user({"type": "text", "text": "a"})], [user("a")]),
        (["\ud83d is half a character", "\ud83d\ude00"], ["\ufffd is half a character", "\U0001f600"]),
    ],
)
def test_entries_are_read_as_turns_or_messages(held, entry):
    assert read_entry(held) == entry


@pytest.mark.parametrize(
    "held, what",
    [
        (
            [{**assistant(None), "tool_calls": [{"function": {"name": "f"}}]}],
            "hold tool_calls, which are not",
        ),
        ([{"role": "tool", "content": "1", "tool_call_id": "c"}], "hold tool_call_id, which is not kept"),
        ([{**user("q"), "name": "ann"}], "hold name, which is not kept"),
        ([{**assistant("a"), "reasoning_content": "so"}], "hold reasoning_content"),
        ([user([{"type": "image", "image": "x.png"}])], "hold parts of the type 'image'"),
        ([user([{"type": "text", "text": "a", "image": "x.png"}])], "hold image, which is not kept"),
        ([user([{"words": "a"}])], "hold parts of the type None"),
        ([user(3)], "hold content that is neither text nor a list of parts"),
        ([{"role": "narrator", "content": "q"}], "hold messages of the role 'narrator'"),
        ([{"text": "q"}], "hold neither text nor messages"),
        ([user("q"), "a"], "hold neither text nor messages"),
        (3, "hold neither text nor messages"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(held, what):
    with pytest.raises(Unusable, match=what):
        read_entry(held)


@pytest.mark.parametrize(
    "asked, said, prompt, answer",
    [
        (["q"], ["a"], [user("q")], "a"),
        ([user("q")], ["a"], [user("q")], "a"),
        ([system("s"), user("q")], [assistant("a")], [system("s"), user("q")], "a"),
        (["q"], [user("q"), assistant("a")], [user("q")], "a"),
        (["q"], [user("q "), assistant("a")], [user("q")], "a"),
        (["q"], [system("s"), user("q"), assistant("a")], [system("s"), user("q")], "a"),
        ([system("s"), user("q")], [user("q"), assistant("a")], [system("s"), user("q")], "a"),
        ([], [user("q"), assistant("a")], [user("q")], "a"),
        (["q", "r"], ["a", "b"], [user("q"), assistant("a"), user("r")], "b"),
        (
            ["q", "r"],
            [user("q"), assistant("a"), user("r"), assistant("b")],
            [user("q"), assistant("a"), user("r")],
            "b",
        ),
        (
            [user("q"), assistant("a"), user("r")],
            [user("q"), assistant("a"), user("r"), assistant("b")],
            [user("q"), assistant("a"), user("r")],
            "b",
        ),
    ],
)
def test_a_conversation_is_divided_before_its_last_answer(asked, said, prompt, answer):
    assert divide(asked, said) == (prompt, [assistant(answer)])


@pytest.mark.parametrize(
    "asked, said, what",
    [
        (["q"], ["a", "b"], "another number of turns"),
        (["q", "r"], ["a"], "another number of turns"),
        (["q", "r"], [assistant("a")], "another number of turns"),
        (["q"], [user("other"), assistant("a")], "begin with messages other than those of the prompt"),
        ([system("s"), user("q")], [system("t"), user("q"), assistant("a")], "another system message"),
        (["q"], [user("q")], "do not end in a message of the assistant"),
        (["q"], [user("q"), assistant("a"), user("thanks")], "do not end in a message of the assistant"),
    ],
)
def test_an_answer_that_does_not_go_with_its_prompt_is_refused(asked, said, what):
    with pytest.raises(Unusable, match=what):
        divide(asked, said)


def test_where_the_answer_begins_in_a_text():
    assert answer_start("q", "q a") == 1 and answer_start("q", "a") == answer_start("", "a") == 0
    twice = "\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant: b"
    assert twice[answer_start(None, twice) :] == " b"


# ----------------------------------------------------------------------------- the same in every type of file

MANY = 24  # rows; more than a batch of the tests below


def votes(seed):
    rng = np.random.default_rng(seed)
    first = rng.random(MANY) < 0.5
    return {
        "user": [f"u{i % 4}" for i in range(MANY)],
        "model_a": np.where(first, "x", "y").tolist(),
        "model_b": np.where(first, "y", "x").tolist(),
        "winner": rng.choice(["model_a", "model_b"], MANY).tolist(),
    }


def _row(form, i):
    q, a, b = f"question {i}, with “quotes”", f"answer\n{i}", f'"{i}", other answer'
    parts = [{"type": "text", "text": q[:4]}, {"type": "text", "text": q[4:]}]
    return {
        "text": (q, a, b),
        "repeated text": (q, q + a, q + b),
        "turns": ([q], [a], [b]),
        "turns after text": (q, [a], [b]),
        "messages": ([user(q)], [assistant(a)], [assistant(b)]),
        "conversations": (q, [user(q), assistant(a)], [user(q), assistant(b)]),
        "parts": ([user(parts)], [assistant(a)], [assistant(b)]),
        "single messages": (user(q), assistant(a), assistant(b)),
        "ids": ([{**user(q), "id": i}], [{**assistant(a), "id": i}], [assistant(b)]),
    }[form]


def table_of(rows, seed=0):
    texts = dict(zip(("prompt", "response_a", "response_b"), map(list, zip(*rows, strict=True)), strict=True))
    return votes(seed) | texts


def written(table, place, name):
    path = place / name
    if name.endswith("csv"):
        cells = {
            column: [
                entry if isinstance(entry, str) or entry is None else json.dumps(entry) for entry in values
            ]
            for column, values in table.items()
        }
        pd.DataFrame(cells).to_csv(path, index=False)
    elif name.endswith("jsonl"):
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    elif name.endswith("parquet"):
        pq.write_table(pa.table(table), path)
    else:
        # polars itself would take the fields of messages from the first row alone
        return pd.DataFrame(table) if name == "pandas" else pl.from_arrow(pa.table(table))
    return path


FILES = ["votes.csv", "votes.jsonl", "votes.parquet", "pandas", "polars"]


@pytest.fixture(scope="module")
def fit():
    strength = emjax.Known({("x", "y"): 0.7})
    return emjax.fit_em(
        emjax.read_votes(pa.table(votes(0))), emjax.Fixed(emjax.Beta(1, 1)), strength=strength
    )


@pytest.fixture
def pairs_of(fit, tmp_path, monkeypatch):
    monkeypatch.setattr("emjax.data.row_matching._WIDE", 7)
    monkeypatch.setattr("emjax.data.text_check._TOGETHER", 7)

    def pairs(table, name, **texts):
        source = written(table, tmp_path, name)
        prefs = emjax.read_votes(source)
        with opened_rows(source, {}) as rows:
            kept = emjax.filter_votes(fit.posterior(prefs), emjax.Weights())
            done = write_rows(decide_rows(rows, kept, prefs), pairs=tmp_path, texts=texts)
        table = pq.read_table(tmp_path / "train.parquet", columns=["prompt", "chosen", "rejected"])
        return table.to_pylist(), dict(done.left_out)

    return pairs


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "form",
    sorted(
        {"text", "repeated text", "turns", "turns after text", "messages", "conversations", "parts", "ids"}
        | {"single messages"}
    ),
)
def test_the_same_pairs_come_of_every_type_of_file(form, name, pairs_of):
    table = table_of([_row(form, i) for i in range(MANY)])
    expected = []
    for i, winner in enumerate(table["winner"]):
        prompt, *answers = _row("text" if "text" in form and "turns" not in form else "messages", i)
        if form == "repeated text":
            prompt, *answers = _row("text", i)
        chosen, rejected = answers if winner == "model_a" else answers[::-1]
        expected.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    assert pairs_of(table, name) == (expected, {})


@pytest.mark.parametrize("name", FILES)
def test_conversations_without_a_column_of_prompts(name, pairs_of):
    rows = [_row("conversations", i) for i in range(MANY)]
    with_prompt = pairs_of(table_of(rows), name)
    table = table_of(rows)
    del table["prompt"]
    assert pairs_of(table, name) == with_prompt
    table["conversation_a"], table["conversation_b"] = table.pop("response_a"), table.pop("response_b")
    assert pairs_of(table, name, response_a="conversation_a", response_b="conversation_b") == with_prompt


@pytest.mark.parametrize("name", FILES)
def test_transcripts_without_a_column_of_prompts(name, pairs_of):
    table = table_of([(None, *(f"\n\nHuman: {i}\n\nAssistant: {w}" for w in "ab")) for i in range(MANY)])
    del table["prompt"]
    found, _ = pairs_of(table, name)
    assert [pair["prompt"] for pair in found] == [f"\n\nHuman: {i}\n\nAssistant:" for i in range(MANY)]
    assert {pair["chosen"] for pair in found} == {pair["rejected"] for pair in found} == {" a", " b"}


@pytest.mark.parametrize("name", FILES)
def test_answers_alone_need_a_prompt(name, pairs_of):
    table = table_of([_row("text", i) for i in range(MANY)])
    del table["prompt"]
    with pytest.raises(VotesError, match="no column holds the prompt, and the answers are not conversations"):
        pairs_of(table, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("blank", ["", " \n", "\u00a0", None])
@pytest.mark.parametrize("form", ["text", "turns", "messages"])
def test_blank_answers_are_missing_in_every_type_of_file(form, blank, name, pairs_of):
    rows = [list(_row(form, i)) for i in range(MANY)]
    held = {"text": blank, "turns": [blank], "messages": [assistant(blank)]}[form]
    rows[10][2] = rows[20][2] = held
    with pytest.raises(
        VotesError, match="2 of 24 kept votes have no answer of model B, first at data row 11:"
    ):
        pairs_of(table_of(rows), name)


@pytest.mark.parametrize("name", FILES)
def test_conversations_that_differ_before_the_last_answer_are_left_out(name, pairs_of):
    rows = [(["q", "r"], ["same", f"a{i}"], ["same" if i % 3 else "other", f"b{i}"]) for i in range(MANY)]
    with pytest.warns(EmjaxWarning, match="8 of 24 kept votes give no training pair"):
        found, left_out = pairs_of(table_of(rows), name)
    assert left_out == {"pairs of conversations that differ before the last answer": 8}
    assert len(found) == 16
    assert all(pair["prompt"] == [user("q"), assistant("same"), user("r")] for pair in found)
    assert all(len(pair["chosen"]) == len(pair["rejected"]) == 1 for pair in found)
    rows = [(["q", "r"], [f"a{i}", None], [f"b{i}", "end"]) for i in range(MANY)]
    with pytest.raises(
        VotesError, match="no pair is left of 24 kept votes: in 24 the two conversations differ"
    ):
        pairs_of(table_of(rows), name)


def test_batches_without_a_pair_are_passed_over(pairs_of):
    rows = [_row("messages", i) for i in range(MANY)]
    rows[:14] = [(question, answer, answer) for question, answer, _ in rows[:14]]
    found, left_out = pairs_of(table_of(rows), "votes.parquet")
    assert (len(found), left_out) == (MANY - 14, {"pairs of equal answers": 14})


@pytest.mark.parametrize("name", FILES)
def test_calls_of_tools_and_images_are_refused_with_their_count(name, pairs_of):
    calls = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]
    rows = [list(_row("messages", i)) for i in range(MANY)]
    for i in range(5, MANY):
        rows[i][1] = [{**assistant(None), "tool_calls": calls}]
    with pytest.raises(
        VotesError, match=r"19 answers of model A hold tool_calls, which are not kept, .* row 6:"
    ):
        pairs_of(table_of(rows), name)
    picture = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    rows = [([user(picture)], *_row("messages", i)[1:]) for i in range(MANY)]
    with pytest.raises(VotesError, match="24 prompts hold parts of the type 'image_url'"):
        pairs_of(table_of(rows), name)


@pytest.mark.parametrize("name", FILES)
def test_a_few_texts_that_are_json_lists_stay_text(name, pairs_of):
    rows = [list(_row("text", i)) for i in range(MANY)]
    rows[3][1] = '["a", "b"]'
    found, _ = pairs_of(table_of(rows), name)
    assert '["a", "b"]' in {found[3]["chosen"], found[3]["rejected"]}


@pytest.mark.parametrize("name", FILES)
def test_a_column_of_json_with_some_other_text_is_refused(name, pairs_of):
    rows = [[json.dumps(entry) for entry in _row("turns", i)] for i in range(MANY)]
    rows[9][1] = "lost to an error"
    said = r"'response_a' holds JSON lists of turns or messages in 23 of 24 rows, .*, first at data row 10:"
    with pytest.raises(VotesError, match=said):
        pairs_of(table_of(rows), name)
    rows = [[str(entry) for entry in _row("messages", i)] for i in range(MANY)]
    with pytest.raises(VotesError, match="in 0 of 24 rows, and other text in the rest, first at data row 1:"):
        pairs_of(table_of(rows), name)


def test_texts_and_messages_mixed_in_one_column_of_a_jsonl_file(pairs_of):
    rows = [_row("text" if i % 2 else "messages", i) for i in range(MANY)]
    with pytest.raises(VotesError, match=r"column 'prompt' holds JSON lists .* and other text in the rest"):
        pairs_of(table_of(rows), "votes.jsonl")
    rows = [_row("messages", i) for i in range(MANY)]
    parts = [_row("parts" if i % 2 else "messages", i) for i in range(MANY)]
    assert pairs_of(table_of(parts), "votes.jsonl") == pairs_of(table_of(rows), "votes.jsonl")


@pytest.mark.parametrize("entry", [3, 2.5, True, {"title": "q"}, [1, 2], [[user("q")]]])
def test_columns_of_other_values_are_refused(entry, pairs_of):
    rows = [(entry, *_row("text", i)[1:]) for i in range(MANY)]
    with pytest.raises(
        VotesError, match=r"column 'prompt' holds neither text nor lists of messages .*: make it"
    ):
        pairs_of(table_of(rows), "votes.parquet")
