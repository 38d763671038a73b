"""`emjax filter` as a person runs it: what it writes, says and refuses; and trl dpo on what it wrote."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli, environment

import emjax

Run = Callable[..., subprocess.CompletedProcess[str]]
# The smallest of language models, with a token for every byte.
TINY = """
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
names = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
made = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
ends = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
PreTrainedTokenizerFast(tokenizer_object=made, **ends).save_pretrained("m")
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = LlamaConfig(vocab_size=len(names), pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes)
LlamaForCausalLM(config).save_pretrained("m")
"""
FILES = ["filter.json", "report.html", "users.parquet", "votes.parquet"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with votes of two models: with texts, without, and one vote more."""
    place = tmp_path_factory.mktemp("place")
    sim = emjax.simulate(2, n_users=60, votes_per_user=15, prior=emjax.TwoPoint(0.1, 0.95, 0.6), strength=0.9)
    table = pa.table({name: list(values) for name, values in sim.columns().items()})
    texts = {name: [f"{name} {i}" for i in range(len(table))] for name in ("prompt", "answer_a", "answer_b")}
    for name, values in texts.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, place / "texts.parquet")
    pq.write_table(table.select(["user", "model_a", "model_b", "winner"]), place / "bare.parquet")
    pq.write_table(table.drop(["prompt"]), place / "no-prompt.parquet")
    gone = pa.array([None if i % 100 == 7 else f"p {i}" for i in range(len(table))])
    pq.write_table(table.set_column(4, "prompt", gone), place / "null-prompt.parquet")
    fresh = table.slice(0, 30).set_column(0, "user", pa.array([1000 + i % 3 for i in range(30)]))
    pq.write_table(pa.concat_tables([table.slice(0, 800), fresh]), place / "fresh.parquet")
    new = table.slice(0, 5).set_column(1, "model_a", pa.array(["C"] * 5))
    pq.write_table(pa.concat_tables([table, new]), place / "new-model.parquet")
    (place / "other").mkdir()
    (place / "other" / "notes.txt").write_text("mine")
    return place


@pytest.fixture(scope="module")
def run(place) -> Run:
    return partial(emjax_cli, cwd=place)


@pytest.fixture(scope="module")
def fitted(run) -> str:
    run("fit", "bare.parquet", "--prior", "two-point", "--strength", "known:0.9", "--out", "fitted")
    return "fitted"


@pytest.fixture(scope="module")
def ranked(run) -> str:
    """A fit that knows the models by name."""
    run("fit", "bare.parquet", "--strength", "bradley-terry", "--prior", "beta", "--out", "ranked")
    return "ranked"


@pytest.fixture(scope="module")
def filtered(run, fitted) -> str:
    done = run("filter", "texts.parquet", "--fit", fitted, "--policy", "top:0.5", "--out", "filtered")
    return done.stdout


def test_what_is_written_and_said(filtered, place):
    folder = place / "filtered"
    assert sorted(path.name for path in folder.iterdir()) == ["dpo", *FILES]
    summary = json.loads((folder / "filter.json").read_text())
    votes, users = pq.read_table(folder / "votes.parquet"), pq.read_table(folder / "users.parquet")
    pairs = pq.read_table(folder / "dpo")
    assert (summary["format"], summary["version"]) == ("emjax-filter", 1)
    assert summary["policy"] == {"type": "TopFraction", "fraction": 0.5, "of": "votes"}
    kept = int(np.sum(votes["kept"].to_numpy()))
    assert summary["votes"] == {"n": 900, "kept": kept, "left_out": {}} and len(votes) == 900
    assert abs(kept - 450) <= 8
    assert summary["pairs"] == {"folder": "dpo", "n_pairs": kept, "resampled_with_seed": None}
    assert len(pairs) == kept
    assert users.column_names == ["user", "n_votes", "kept", "weight", "attentiveness", "soft_label"]
    assert summary["users"]["kept"] == int(np.sum(users["kept"].to_numpy()))
    assert summary["users"]["unknown_to_fit"] == summary["users"]["changed_since_fit"] == 0
    seen = pq.read_table(place / "fitted" / "users.parquet")
    assert np.allclose(users["attentiveness"], seen["attentiveness"])
    assert f"keeps {kept} of 900 votes" in filtered
    assert "trl dpo --model_name_or_path MODEL --dataset_name filtered/dpo" in filtered
    assert f"{kept} votes kept of 900" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    "words", ["top:0.5", "top:0.5:users", "threshold:0.25", "max-information", "weights", "soft-labels:vote"]
)
def test_the_policy_is_named_as_it_was_given(run, fitted, place, words):
    out = place / f"by {words.replace(':', ' ')}"
    done = run("filter", "bare.parquet", "--fit", fitted, "--policy", words, "--out", out)
    assert f"\n{words} keeps " in done.stdout
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"<code>{words}</code>" in page
    assert not re.search(r"TopFraction|Threshold|MaxInformation|Weights|SoftLabels", page + done.stdout)
    assert "(" in json.loads((out / "filter.json").read_text())["policy_text"]  # a line of Python


@pytest.fixture(scope="module")
def odd(place, run) -> tuple[str, str]:
    """A file that has to be read with options, and a fit that was given them."""
    rows = pq.read_table(place / "bare.parquet").to_pylist()
    lines = [";".join(str(row[name]) for name in row) for row in rows]
    head = ["rater;one;other;said"]
    text = "\n".join([*head, *lines, "0;A;B;", "1;A;B;tie"])
    (place / "odd.csv").write_text(text, encoding="utf-16")
    options = ["--separator", ";", "--encoding", "utf-16", "--ties", "half", "--empty-winner", "tie"]
    options += ["--user", "rater", "--model-a", "one", "--model-b", "other", "--winner", "said"]
    run("fit", "odd.csv", *options, "--strength", "known:0.9", "--out", "odd")
    return "odd.csv", "odd"


def test_votes_are_read_with_the_options_of_the_fit(run, odd, place):
    votes, fit = odd
    done = run("filter", votes, "--fit", fit, "--policy", "weights", "--out", "as fitted")
    for words in ("read as for the fit: ", "--ties half", "--empty-winner tie", "--user rater"):
        assert words in done.stdout
    summary = json.loads((place / "as fitted" / "filter.json").read_text())
    assert summary["users"]["changed_since_fit"] == summary["users"]["unknown_to_fit"] == 0
    done = run(
        *("filter", votes, "--fit", fit, "--policy", "weights", "--out", "told"), "--empty-winner", "drop"
    )
    assert "without a winner, 1" in done.stdout and "--empty-winner" not in done.stdout
    done = run("filter", votes, "--fit", fit, "--policy", "weights", "--out", "x", "--user", "who", code=1)
    assert "there is no column 'who': give --user COLUMN" in done.stderr


def test_options_of_text_files_are_not_kept_for_others(run, odd, place):
    names = ["rater", "one", "other", "said"]
    pq.write_table(pq.read_table(place / "bare.parquet").rename_columns(names), place / "odd.parquet")
    done = run("filter", "odd.parquet", "--fit", odd[1], "--policy", "weights", "--out", "other format")
    assert "--user rater" in done.stdout and "--separator" not in done.stdout


def test_a_table_is_read_as_the_fit_in_the_folder_was(odd, place):
    fit = emjax.load_fit(place / odd[1])
    assert fit.users(str(place / odd[0])).num_rows == fit.data["n_users"]
    assert fit.read_votes(str(place / odd[0]), ties="drop").n_votes == fit.data["n_votes"] - 2


def test_votes_without_texts_are_annotated_alone(run, fitted, place):
    done = run("filter", "bare.parquet", "--fit", fitted, "--policy", "max-information", "--out", "plain")
    assert sorted(path.name for path in (place / "plain").iterdir()) == FILES
    assert "note: no training pairs" in done.stdout
    done = run("filter", "no-prompt.parquet", "--fit", fitted, "--policy", "weights", "--out", "half")
    assert "no training pairs: no column holds the prompt" in " ".join(done.stdout.split())


def test_users_unknown_to_the_fit_are_mentioned(run, fitted, place):
    done = run("filter", "fresh.parquet", "--fit", fitted, "--policy", "attentive", "--out", "fresh")
    said = " ".join(done.stdout.split())
    assert "3 users unknown to the fit: judged by their votes here, under the fitted prior" in said
    assert "with other numbers of votes here than in the fit" in said
    assert "trl dpo reads prompt, chosen and rejected only" in said
    assert json.loads((place / "fresh" / "filter.json").read_text())["users"]["unknown_to_fit"] == 3


def test_overwriting_replaces_all_of_it(run, filtered, fitted, place):
    shutil.copytree(place / "filtered", place / "again")
    words = ["filter", "bare.parquet", "--fit", fitted, "--policy", "credible:0.5:0.6", "--out", "again"]
    refused = run(*words, code=1)
    assert "again holds other filtered votes: give a new folder, or --overwrite" in refused.stderr
    assert (place / "again" / "dpo").is_dir()
    run(*words, "--overwrite")
    assert sorted(path.name for path in (place / "again").iterdir()) == FILES


@pytest.mark.parametrize(
    "words, said",
    [
        (
            "bare.parquet --policy top:2",
            "--policy top:2: top:SHARE needs a share above 0, at most 1, such as 0.7; got 2",
        ),
        ("bare.parquet --policy best", "error: --policy best: 'best' is not a policy: give top:0.7"),
        ("bare.parquet --policy threshold:1", "keeps no vote: the largest posterior mode is 0."),
        ("bare.parquet --policy top:0.5 --resample 1", "--resample draws by weight"),
        ("bare.parquet --policy weights --resample 1", "no column holds the prompt"),
        ("texts.parquet --policy weights --prompt said", "there is no column 'said': give --prompt COLUMN"),
        ("null-prompt.parquet --policy weights", "9 of 900 kept votes have no prompt, first at data row 8:"),
        ("new-model.parquet --policy weights --fit ranked", "not in the fit, first C: fit again with their"),
        ("bare.parquet --policy weights --ties some", "--ties some is not understood"),
        ("bare.parquet --policy weights --fit other", "other holds no fit"),
        ("bare.parquet --policy weights --out other", "other holds other files: give a new folder."),
        ("bare.parquet --policy weights --out fitted --overwrite", "fitted holds other files: give a new"),
    ],
)
def test_what_is_refused_leaves_nothing(words, said, run, fitted, ranked, place):
    before = sorted(place.rglob("*"))
    asked = words.split()
    for option, value in (("--fit", fitted), ("--out", "new")):
        asked += [] if option in asked else [option, value]
    done = run("filter", *asked, code=1)
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert sorted(place.rglob("*")) == before


@pytest.mark.long
def test_trl_trains_on_the_folder_as_it_is(run, fitted, place, tmp_path):
    """The third of the three commands, with the smallest of models."""
    pytest.importorskip("trl")
    alone = environment() | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = run(
        "filter", "texts.parquet", "--fit", fitted, "--policy", "weights", "--resample", 1, "--out", "drawn"
    )
    subprocess.run([sys.executable, "-c", TINY], cwd=place, env=alone, check=True, capture_output=True)
    command = "dpo --model_name_or_path m --dataset_name drawn/dpo --output_dir trained --max_steps 2"
    command += " --bf16 False --use_cpu True --gradient_checkpointing False --report_to none"
    command += " --per_device_train_batch_size 2 --logging_steps 1"
    trl = str(Path(sys.executable).parent / "trl")
    done = subprocess.run(
        [trl, *command.split()], cwd=place, env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (place / "trained" / "model.safetensors").is_file()
    assert "'loss'" in done.stdout
