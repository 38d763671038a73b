"""Pairs from two models: answers beside their prompt and name, the same after an interruption as without."""

import importlib.util
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.errors import EmjaxWarning, ModelError, OutputError, VotesError

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed: pip install 'emjax[train]'", allow_module_level=True)

import tiny_models
import torch

from emjax.train.generate import LanguageModel, generate_pairs

PROMPTS = ["the sea is", "a", "we go here and there", "cold", "the cat", "now", "or never"]


class Spoken(LanguageModel):
    """A speaker without a network: says its name, the prompt and the seed, and can be interrupted."""

    def answer(self, prompts, *, seed):
        if self.model is not None and self.model["calls"] == self.model["last"]:
            raise KeyboardInterrupt
        if self.model is not None:
            self.model["calls"] += 1
        return [f"{self.name}: {prompt}, {seed}" for prompt in prompts]


def speakers(last=None):
    stop = None if last is None else {"calls": 0, "last": last}
    return Spoken("old", None, None), Spoken("new", stop, None, temperature=0.5)


@pytest.fixture(scope="module")
def llama():
    return tiny_models.llama(0, hidden=32).eval(), tiny_models.tokenizer()


def pair(llama, **settings):
    model, tokenizer = llama
    shared = {"max_new_tokens": 6} | settings
    return (
        LanguageModel("cool", model, tokenizer, temperature=0.3, **shared),
        LanguageModel("warm", model, tokenizer, temperature=1.5, **shared),
    )


def test_every_answer_is_in_the_row_of_its_prompt_and_model(tmp_path):
    table = generate_pairs(PROMPTS * 9, *speakers(), out=tmp_path / "pairs.parquet", batch_size=4, seed=3)
    rows = table.to_pylist()
    assert [row["pair"] for row in rows] == list(range(63))
    assert [row["prompt"] for row in rows] == PROMPTS * 9
    seeds = set()
    for row in rows:
        assert {row["model_a"], row["model_b"]} == {"old", "new"}
        for side in "ab":
            said = row[f"response_{side}"]
            assert said.startswith(f"{row[f'model_{side}']}: {row['prompt']}, ")
            seeds.add(said.rpartition(" ")[2])
    assert len(seeds) == 2 * 16, "every batch and side draws with a seed of its own"
    first = np.mean([row["model_a"] == "old" for row in rows])
    assert 0.3 < first < 0.7, "sides are shuffled"
    assert pq.read_table(tmp_path / "pairs.parquet").equals(table)
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.parquet"]


@pytest.mark.parametrize("torn", ["", '{"pair": 5, "pro', '{"pair": 4, "prompt": "x"}\n{"pair"'])
@pytest.mark.parametrize("last", [0, 1, 3])
def test_an_interrupted_run_gives_the_same_file(tmp_path, last, torn):
    whole = generate_pairs(PROMPTS * 2, *speakers(), out=tmp_path / "whole.parquet", batch_size=3)
    out = tmp_path / "pairs.parquet"
    with pytest.raises(KeyboardInterrupt):
        generate_pairs(PROMPTS * 2, *speakers(last), out=out, batch_size=3)
    assert not out.exists()
    part = tmp_path / "pairs.parquet.part"
    with part.open("a", encoding="utf-8") as file:
        file.write(torn)
    old, _ = speakers()
    counted = Spoken("new", {"calls": 0, "last": 99}, None, temperature=0.5)
    found = generate_pairs(PROMPTS * 2, old, counted, out=out, batch_size=3)
    assert found.equals(whole)
    assert counted.model["calls"] == 5 - last, "finished batches are not asked for again"
    assert not part.exists()


def test_a_finished_file_is_read_and_not_generated_again(tmp_path):
    out = tmp_path / "pairs.parquet"
    whole = generate_pairs(PROMPTS, *speakers(), out=out)
    assert generate_pairs(PROMPTS, *speakers(0), out=out).equals(whole)


@pytest.mark.parametrize("state", ["finished", "interrupted"])
@pytest.mark.parametrize(
    "other", [{"prompts": PROMPTS[1:]}, {"seed": 1}, {"batch_size": 2}, {"warmer": 0.9}], ids=str
)
def test_a_file_of_other_settings_is_refused(tmp_path, state, other):
    out = tmp_path / "pairs.parquet"
    if state == "finished":
        generate_pairs(PROMPTS, *speakers(), out=out)
    else:
        with pytest.raises(KeyboardInterrupt):
            generate_pairs(PROMPTS, *speakers(0), out=out)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    old, new = speakers()
    if "warmer" in other:
        new = Spoken("new", None, None, temperature=other["warmer"])
    changed = {name: value for name, value in other.items() if name in ("seed", "batch_size")}
    with pytest.raises(OutputError, match="other prompts or settings"):
        generate_pairs(other.get("prompts", PROMPTS), old, new, out=out, **changed)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_equal_answers_are_counted(tmp_path):
    class Mute(LanguageModel):
        def answer(self, prompts, *, seed):
            return ["" for _ in prompts]

    with pytest.warns(EmjaxWarning, match="7 of 7 pairs have the same answer"):
        generate_pairs(PROMPTS, Mute("x", None, None), Mute("y", None, None), out=tmp_path / "p.parquet")


@pytest.mark.parametrize(
    "prompts, message",
    [
        (["a", None, "b", ""], "2 of 4 prompts are empty or no text: first None, number 1"),
        (["  "], "1 of 1 prompts"),
        ([], "no prompt"),
    ],
)
def test_bad_prompts_are_counted_and_nothing_is_written(tmp_path, prompts, message):
    with pytest.raises(VotesError, match=message):
        generate_pairs(prompts, *speakers(), out=tmp_path / "pairs.parquet")
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_refused(tmp_path):
    old, _ = speakers()
    with pytest.raises(ModelError, match="both models are called 'old'"):
        generate_pairs(PROMPTS, old, old, out=tmp_path / "p.parquet")
    with pytest.raises(ModelError, match="batch_size"):
        generate_pairs(PROMPTS, *speakers(), out=tmp_path / "p.parquet", batch_size=0)
    with pytest.raises(OutputError, match="does not end in"):
        generate_pairs(PROMPTS, *speakers(), out=tmp_path / "p.csv")
    with pytest.raises(OutputError, match="cannot be used"):
        generate_pairs(PROMPTS, *speakers(), out=tmp_path / "nowhere" / "p.parquet")
    (tmp_path / "p.parquet").write_text("other")
    with pytest.raises(OutputError, match="no pairs table"):
        generate_pairs(PROMPTS, *speakers(), out=tmp_path / "p.parquet")
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"max_new_tokens": 0}, {"name": ""}):
        with pytest.raises(ModelError, match="LanguageModel needs"):
            LanguageModel(**({"name": "x", "model": None, "tokenizer": None} | wrong))


# ---------------------------------------------------------------------------------------- a model that is one


def test_a_transformers_model_generates_answers(tmp_path, llama):
    before = torch.random.get_rng_state()
    table = generate_pairs(PROMPTS, *pair(llama), out=tmp_path / "pairs.parquet", batch_size=4)
    assert torch.equal(torch.random.get_rng_state(), before), "torch's random state is left as it was"
    for row in table.to_pylist():
        assert len(row["response_a"]) <= 6 and len(row["response_b"]) <= 6
        assert row["prompt"] not in row["response_a"] or len(row["prompt"]) <= 1
    again = generate_pairs(PROMPTS, *pair(llama), out=tmp_path / "again.parquet", batch_size=4)
    assert again.equals(table)
    other = generate_pairs(PROMPTS, *pair(llama), out=tmp_path / "other.parquet", batch_size=4, seed=1)
    assert not other.equals(table)


def test_without_temperature_the_likeliest_token_is_taken(llama):
    model, tokenizer = llama
    said = LanguageModel("x", model, tokenizer, temperature=0, max_new_tokens=4).answer(["the sea"], seed=0)
    tokens = tokenizer("the sea")["input_ids"]
    for _ in range(4):
        with torch.no_grad():
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == tokenizer.eos_token_id:
            break
    assert said == [tokenizer.decode(tokens[7:], skip_special_tokens=True)]


def test_padding_does_not_change_the_likeliest_answer(llama):
    speaker = LanguageModel("x", *llama, temperature=0, max_new_tokens=5)
    together = speaker.answer(PROMPTS, seed=0)
    assert together == [speaker.answer([prompt], seed=0)[0] for prompt in PROMPTS]


def test_a_chat_template_is_used_when_asked_for(llama):
    model, _ = llama
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% endfor %}|"
    plain = LanguageModel("x", model, tokenizer, temperature=0, max_new_tokens=5)
    chat = LanguageModel("x", model, tokenizer, temperature=0, max_new_tokens=5, chat=True)
    assert chat.answer(["the sea"], seed=0) == plain.answer(["<u>the sea|"], seed=0)


def test_generated_pairs_can_be_voted_on_and_read(tmp_path, llama):
    from emjax.train.simulated_raters import simulate_votes

    out = tmp_path / "pairs.parquet"
    generate_pairs(PROMPTS, *pair(llama), out=out)
    votes = simulate_votes(out, lambda prompt, text: text.count("e"), [0.9, 0.5], key=1, votes_per_user=5)
    prefs = emjax.read_votes(votes.table)
    assert prefs.n_votes == 10 and {*prefs.comparisons[0]} == {"cool", "warm"}


def test_the_part_file_is_readable(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        generate_pairs(PROMPTS, *speakers(1), out=tmp_path / "p.parquet", batch_size=2)
    lines = (tmp_path / "p.parquet.part").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["seed"] == 0
    assert [json.loads(line)["pair"] for line in lines[1:]] == [0, 1]
