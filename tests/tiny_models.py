"""A language model and a tokenizer small enough to be made on the spot, from nothing but a seed."""

import string

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import Fuse
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig

torch.set_num_threads(1)  # tests run beside each other: threads would only be in the way

WORDS = (
    "the",
    "sea",
    "is",
    "blue",
    "and",
    "cold",
    "a",
    "cat",
    "sat",
    "here",
    "we",
    "go",
    "now",
    "or",
    "never",
)


def tokenizer():
    """One token per printable character."""
    alphabet = ["<pad>", "<s>", "</s>", "<unk>", *string.printable]
    made = Tokenizer(models.WordLevel({text: i for i, text in enumerate(alphabet)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def llama(seed=0, *, hidden=16, layers=2):
    """A Llama with random weights, in double precision where asked for by the caller afterwards."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=104,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(config)


def rows(n, rng, **columns):
    """n preference pairs of a few words each, and further columns."""

    def text(low, high):
        return " ".join(rng.choice(WORDS, size=rng.integers(low, high)))

    pairs = {
        "prompt": [text(1, 3) for _ in range(n)],
        "chosen": [" " + text(2, 6) for _ in range(n)],
        "rejected": [" " + text(2, 6) for _ in range(n)],
    }
    return Dataset.from_dict(pairs | {name: list(values) for name, values in columns.items()})


def options(folder, **changed):
    """Training options that keep a test on the processor, quiet and repeatable."""
    given = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "max_length": 128,
        "seed": 3,
    }
    return DPOConfig(**(given | changed))
