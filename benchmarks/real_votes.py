"""Votes of a real crowd (llmfao): does attentiveness, found without gold labels, agree with GPT-4's verdicts?

Runs `emjax fit` as a user would, as a process of its own, and compares its table of users with a reference
that the fit does not use. The data are no part of this repository; without them nothing is run, and the
result says so.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
from scipy.stats import spearmanr

from benchmarks import record

CARELESS = ("15", "20", "70", "11")
FIGURES = (
    ("seconds of the whole process", "< 20 s"),
    ("attentiveness of workers 15, 20, 70, 11", "each < 0.1"),
    ("rank correlation of attentiveness with agreement with GPT-4", "≥ 0.68"),
)


def fit(votes, folder):
    """`emjax fit` as it comes: the table of users, seconds passed, seconds worked, and what it said."""
    command = [sys.executable, "-m", "emjax", "fit", str(votes), "--out", str(folder)]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=record.ROOT)
    seconds, after = time.perf_counter() - start, os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode:
        raise RuntimeError(f"emjax fit failed: {done.stderr.strip()[-600:]}")
    return pyarrow.parquet.read_table(folder / "users.parquet").to_pydict(), seconds, worked, done


def agreement(folder):
    """Per worker: how many of his decisive votes GPT-4 judged decisively too, and the share that agrees."""
    verdicts = pyarrow.csv.read_csv(folder / "gpt4-crowd-comparisons.csv").to_pydict()
    verdict = dict(zip(verdicts["id"], verdicts["winner"], strict=True))
    votes = pyarrow.csv.read_csv(folder / "crowd-comparisons.csv").to_pydict()
    judged, agreed = {}, {}
    for pair, worker, winner in zip(votes["id"], votes["worker"], votes["winner"], strict=True):
        if winner == "tie" or verdict.get(pair, "tie") == "tie":
            continue
        judged[str(worker)] = judged.get(str(worker), 0) + 1
        agreed[str(worker)] = agreed.get(str(worker), 0) + (winner == verdict[pair])
    return judged, {worker: agreed[worker] / count for worker, count in judged.items()}


def compare(out, data, repeats, least=15):
    """Three figures, of which only the time is not the same in every repeat."""
    seconds, busy = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(repeats):
            users, spent, worked, done = fit(data / "crowd-comparisons.csv", Path(scratch, str(turn)))
            seconds.append(spent)
            busy.append(worked)
    attentiveness = {str(u): a for u, a in zip(users["user"], users["attentiveness"], strict=True)}
    names = [what for what, _ in FIGURES]
    out.figure(
        names[0],
        min(seconds),
        f"best {min(seconds):.1f} s, median {np.median(seconds):.1f} s of {repeats} (compilation included; "
        f"{np.median(busy):.1f} s of processor time)",
        FIGURES[0][1],
        min(seconds) < 20,
    )
    worst = [attentiveness[worker] for worker in CARELESS]
    out.figure(names[1], worst, ", ".join(f"{x:.3f}" for x in worst), FIGURES[1][1], max(worst) < 0.1)
    judged, agreed = agreement(data)
    workers = sorted((w for w, count in judged.items() if count >= least), key=int)
    found = spearmanr([attentiveness[w] for w in workers], [agreed[w] for w in workers]).statistic
    out.figure(
        names[2],
        found,
        f"{found:.3f} over {len(workers)} workers with at least {least} votes that both decided",
        FIGURES[2][1],
        found >= 0.68,
    )
    out.keep("seconds", seconds)
    out.keep("processor_seconds", busy)
    out.keep("said", {"output": done.stdout.splitlines()[:-1], "warnings": done.stderr.splitlines()})
    rows = [
        {"worker": w, "attentiveness": attentiveness[w], "both decided": judged[w], "agreement": agreed[w]}
        for w in workers
    ]
    out.keep("workers", rows)


def main():
    given = record.options(
        "real_votes",
        __doc__,
        "python -m benchmarks.real_votes --data ../shared/data/llmfao",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
    )
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    out = record.Record("real_votes", given)
    if (data / "crowd-comparisons.csv").is_file():
        compare(out, data, 1 if given.smoke else 3)
    else:
        for what, target in FIGURES:
            out.not_run(what, "data absent", target)
    out.write()


if __name__ == "__main__":
    main()
