"""From real votes to training: attentiveness of users, training pairs, and a few steps of DPO.

Takes the folder of the llmfao votes (github.com/dustalov/llmfao), with crowd-comparisons.csv and the texts:

    python examples/llmfao_to_dpo.py FOLDER

124 crowd workers compared answers of 59 models to 13 prompts. The language model here is a tiny one with
random weights, so that the script needs no download and ends in a minute. Put the name of your model in
its place; the other lines stay the same.
"""

import sys
import warnings
from pathlib import Path

import pandas as pd
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import emjax
from emjax.train import AttentiveDPOTrainer, AttentiveLoss, to_dpo_dataset

# TRL 1.16 uses names that transformers 5.23 has renamed, and says so at every step.
warnings.filterwarnings("ignore", ".*is deprecated and will be removed in v6", FutureWarning)

if len(sys.argv) != 2:
    sys.exit(
        "usage: python llmfao_to_dpo.py FOLDER, the one with crowd-comparisons.csv and pairs-crowd.jsonl"
    )
folder = Path(sys.argv[1])

# One row per vote, with the texts beside it. The answer of model_x was shown on the left.
votes = pd.read_csv(folder / "crowd-comparisons.csv").drop(columns="prompt")
texts = pd.read_json(folder / "pairs-crowd.jsonl", lines=True)
votes = votes.merge(
    texts[["id", "text", "result_x", "result_y"]], on="id", how="left", validate="many_to_one"
)
columns = {"user": "worker", "model_a": "left", "model_b": "right", "winner": "winner"}

# Strengths of all models and attentiveness of all workers are estimated together.
prefs = emjax.read_votes(votes, **columns)
fit = emjax.fit_em(prefs, emjax.Beta())
print(fit)

# What would different policies keep?
posterior = fit.posterior(prefs)
for policy in (emjax.TopFraction(0.7), emjax.MaxInformation(), emjax.Weights()):
    print(f"\n{emjax.filter_votes(posterior, policy)}")

# Training pairs. Attentive() keeps every vote, with the attentiveness of its worker from the other votes.
# Some answers are empty: such rows say something of the worker, and are no pair of texts.
answered = votes["result_x"].str.contains(r"\w") & votes["result_y"].str.contains(r"\w")
rows = to_dpo_dataset(
    votes[answered],
    fit,
    emjax.Attentive(),
    **columns,
    prompt="text",
    response_a="result_x",
    response_b="result_y",
)
print(f"\n{rows}")

# A tiny model in place of yours, and a tokenizer learned from the answers.
letters = Tokenizer(models.BPE())
letters.pre_tokenizer, letters.decoder = (
    pre_tokenizers.ByteLevel(add_prefix_space=False),
    decoders.ByteLevel(),
)
learn = trainers.BpeTrainer(
    vocab_size=1000,
    special_tokens=["<pad>", "<end>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
letters.train_from_iterator(rows["chosen"][:200], learn)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", eos_token="<end>")
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape, **ends))

# Three steps. With your model: more steps, a smaller learning rate, and without the last three options.
trainer = AttentiveDPOTrainer(
    model,
    args=trl.DPOConfig(
        "llmfao-dpo",
        max_steps=3,
        learning_rate=1e-3,
        max_length=256,
        precompute_ref_log_probs=True,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
    ),
    train_dataset=rows.shuffle(seed=0).select(range(64)),
    processing_class=tokenizer,
    loss=AttentiveLoss(),
)
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(f"\nlosses of the first steps: {', '.join(f'{loss:.4f}' for loss in losses)}")
