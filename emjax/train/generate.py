"""Two language models answer the same prompts: pairs of answers for people to compare."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.errors import EmjaxWarning, ModelError, OutputError, VotesError

_COLUMNS = ("pair", "prompt", "response_a", "response_b", "model_a", "model_b")
_NOTE = b"emjax.pairs"  # where the parquet file says what it was made from


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model and its generation settings: one side of a pair.

    Two of these may share a model and differ in temperature, or hold two versions of one.

    Parameters
    ----------
    name
        What the tables call it.
    model, tokenizer
        From transformers. The model answers on the device where it is.
    temperature
        Of the softmax that tokens are drawn from; 0 takes the most probable token.
    top_p
        Draw from the smallest set of tokens with this much probability.
    max_new_tokens
        Longest answer. A longer one is cut off.
    chat
        Put the prompt into the tokenizer's chat template, as the user's turn.

    Raises
    ------
    ModelError
        A setting out of range.

    Examples
    --------
    >>> LanguageModel("warm", model=None, tokenizer=None, temperature=1.2).temperature
    1.2
    """

    name: str
    model: Any
    tokenizer: Any
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    chat: bool = False

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and 0 < self.top_p <= 1 and self.max_new_tokens >= 1 and self.name):
            raise ModelError(
                "LanguageModel needs a name, temperature >= 0, 0 < top_p <= 1 and max_new_tokens >= 1; got "
                f"{self.name!r}, {self.temperature}, {self.top_p}, {self.max_new_tokens}."
            )

    def settings(self) -> dict[str, Any]:
        """What an answer depends on, beside the weights themselves."""
        asked = ("name", "temperature", "top_p", "max_new_tokens", "chat")
        return {what: getattr(self, what) for what in asked}

    def answer(self, prompts: Sequence[str], *, seed: int) -> list[str]:
        """Answers to a batch of prompts, drawn with `seed`; torch's own random state is left as it was."""
        from emjax.train.torch_import import torch, transformers

        batch = self._tokens(prompts).to(self.model.device)
        ends = self.model.generation_config.eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = ends[0] if isinstance(ends, list) else ends
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0} if self.temperature else {}
        how = transformers.GenerationConfig(
            do_sample=bool(drawn),
            max_new_tokens=self.max_new_tokens,
            eos_token_id=ends,
            pad_token_id=pad,
            **drawn,
        )
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        training = self.model.training
        self.model.eval()
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(seed)
            tokens = self.model.generate(**batch, generation_config=how)
        self.model.train(training)
        new = tokens[:, batch["input_ids"].shape[1] :]
        return list(self.tokenizer.batch_decode(new, skip_special_tokens=True))

    def _tokens(self, prompts: Sequence[str]) -> Any:
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        texts, special = list(prompts), True
        if self.chat:
            turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
            texts = [
                self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
                for turn in turns
            ]
            special = False  # the template has put them in
        return self.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=special,
            return_token_type_ids=False,
        )


def generate_pairs(
    prompts: Sequence[Any],
    model_a: LanguageModel,
    model_b: LanguageModel,
    *,
    out: str | os.PathLike[str],
    seed: int = 0,
    batch_size: int = 8,
) -> pa.Table:
    """Have two language models answer every prompt, and write the pairs with their sides shuffled.

    Parameters
    ----------
    prompts
        Texts. The same prompt may occur more than once, and is then answered again.
    model_a, model_b
        The two sides, of different names.
    out
        A .parquet file. Until all is done, finished batches stand in a file of the same name with `.part`
        added; after an interruption the same call goes on from there, and ends as if nothing had happened.
        When `out` is already there, made by the same call, it is read and nothing is generated.
    seed
        Of the answers and of the sides.
    batch_size
        Prompts answered at once. Other sizes draw other answers.

    Returns
    -------
    pyarrow.Table
        What was written, one row per prompt: pair (its number), prompt, response_a, response_b, model_a,
        model_b (names of who wrote which side).

    Raises
    ------
    VotesError
        A prompt is missing, empty or no text, or there is none.
    ModelError
        The two models have one name, or batch_size is not positive.
    OutputError
        `out` cannot be written, or it or its `.part` was made from other prompts or settings.
    MissingExtra
        torch or transformers is not installed.

    Warns
    -----
    EmjaxWarning
        Where both answers to a prompt are the same: such a pair has no preference.

    Notes
    -----
    A limit: weights are not compared when a run is resumed; only names and settings are.

    Examples
    --------
    >>> cool = LanguageModel("cool", model, tokenizer, temperature=0.7)  # doctest: +SKIP
    >>> warm = LanguageModel("warm", model, tokenizer, temperature=1.3)  # doctest: +SKIP
    >>> pairs = generate_pairs(["Why is the sky blue?"], cool, warm, out="pairs.parquet")  # doctest: +SKIP
    """
    _check(prompts, model_a, model_b, batch_size)
    out = Path(out)
    if out.suffix != ".parquet":
        raise OutputError(f"{out.name} does not end in .parquet, the format that pairs are written in.")
    note = _made_from(prompts, model_a, model_b, seed, batch_size)
    if out.exists():
        return _finished(out, note)
    part = out.with_name(out.name + ".part")
    done = _taken_up(part, note, batch_size, len(prompts))
    try:
        with part.open("a", encoding="utf-8") as file:
            for start in range(done, len(prompts), batch_size):
                asked = list(prompts[start : start + batch_size])
                for row in _batch(asked, start, model_a, model_b, seed):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
        return _completed(part, out, note)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from error


def _batch(
    prompts: list[str], start: int, first: LanguageModel, second: LanguageModel, seed: int
) -> Iterator[dict[str, Any]]:
    """Rows of one batch; all that is random in it depends on the seed and on where it starts."""
    draws = [int(x) for x in np.random.SeedSequence([seed, start]).generate_state(3)]
    answers = first.answer(prompts, seed=draws[0]), second.answer(prompts, seed=draws[1])
    turned = np.random.default_rng(draws[2]).random(len(prompts)) < 0.5
    for i, (prompt, *texts) in enumerate(zip(prompts, *answers, strict=True)):
        a, b = (1, 0) if turned[i] else (0, 1)
        names = first.name, second.name
        values = (start + i, prompt, texts[a], texts[b], names[a], names[b])
        yield dict(zip(_COLUMNS, values, strict=True))


def _made_from(
    prompts: Sequence[str], first: LanguageModel, second: LanguageModel, seed: int, batch_size: int
) -> str:
    digest = hashlib.sha256(json.dumps(list(prompts)).encode()).hexdigest()
    settings = [first.settings(), second.settings()]
    made = {"prompts": digest, "models": settings, "seed": int(seed), "batch_size": int(batch_size)}
    return json.dumps(made, sort_keys=True)


def _taken_up(part: Path, note: str, batch_size: int, n_prompts: int) -> int:
    """How many prompts are answered already; what an interruption left of a batch is cut off."""
    try:
        if not part.exists():
            part.write_text(note + "\n", encoding="utf-8")
            return 0
        # What follows the last line break was being written when the run was interrupted.
        lines = part.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError as error:
        raise OutputError(f"{part} cannot be used: {error.strerror or error}.") from error
    if lines and lines[0] != note:
        raise OutputError(
            f"{part} holds a run with other prompts or settings: give them as they were, or remove it."
        )
    whole = max(len(lines) - 1, 0)
    whole = whole if whole == n_prompts else whole - whole % batch_size
    kept = "\n".join([note, *lines[1 : 1 + whole]]) + "\n"
    fresh = part.with_name(part.name + ".new")
    fresh.write_text(kept, encoding="utf-8")
    fresh.replace(part)
    return whole


def _completed(part: Path, out: Path, note: str) -> pa.Table:
    lines = part.read_text(encoding="utf-8").split("\n")[1:-1]
    rows = [json.loads(line) for line in lines]
    table = pa.table({name: [row[name] for row in rows] for name in _COLUMNS})
    table = table.replace_schema_metadata({_NOTE: note.encode()})
    whole = out.with_name(out.name + ".new")
    pq.write_table(table, whole)
    whole.replace(out)
    part.unlink()
    same = sum(row["response_a"] == row["response_b"] for row in rows)
    if same:
        warnings.warn(
            f"{same:,} of {len(rows):,} pairs have the same answer on both sides, which no user can choose "
            "between: leave them out of the comparison, or raise the temperature.",
            EmjaxWarning,
            stacklevel=3,
        )
    return table


def _finished(out: Path, note: str) -> pa.Table:
    try:
        table = pq.read_table(out)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"{out} is there and is no pairs table: give another name.") from error
    if (table.schema.metadata or {}).get(_NOTE) != note.encode():
        raise OutputError(f"{out} is there, made from other prompts or settings: give another name.")
    return table


def _check(prompts: Sequence[Any], first: LanguageModel, second: LanguageModel, batch_size: int) -> None:
    wrong = [i for i, text in enumerate(prompts) if not isinstance(text, str) or not text.strip()]
    if wrong:
        raise VotesError(
            f"{len(wrong):,} of {len(prompts):,} prompts are empty or no text: first {prompts[wrong[0]]!r}, "
            f"number {wrong[0]}."
        )
    if not len(prompts):
        raise VotesError("there is no prompt to answer.")
    if first.name == second.name:
        raise ModelError(f"both models are called {first.name!r}: rename one of them.")
    if batch_size < 1:
        raise ModelError(f"batch_size must be 1 or more; got {batch_size}.")
