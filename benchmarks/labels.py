"""The same labels through crowd-kit's aggregators, in whatever environment has it.

    python benchmarks/labels.py votes.npz answer.npz

Votes are `user`, `item` and `won` (integers, (n_votes,)): one answer, 0 or 1, of a user to an item. For each
aggregator the answer has the probability of 1 for every item, a skill for every user, and the seconds taken.
"""

import importlib.metadata
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def _majority(table):
    from crowdkit.aggregation import MajorityVote

    model = MajorityVote(default_skill=None).fit(table)
    label = model.labels_.reindex(table["task"]).to_numpy() == table["label"].to_numpy()
    return model.probas_, table.assign(right=label).groupby("worker")["right"].mean()


def _mace(table):
    import pandas as pd
    from crowdkit.aggregation import MACE

    model = MACE(random_state=0).fit(table)
    workers = pd.factorize(table["worker"])[1]
    return model.probas_, pd.Series(model.spamming_[:, 1], index=workers)


def _dawid_skene(table):
    from crowdkit.aggregation import DawidSkene

    model = DawidSkene(n_iter=100).fit(table)
    errors = model.errors_.reset_index()
    right = [row[row["label"]] for _, row in errors.iterrows()]
    return model.probas_, errors.assign(right=right).groupby("worker")["right"].mean()


def _glad(table):
    from crowdkit.aggregation import GLAD

    model = GLAD(n_iter=100).fit(table)
    return model.probas_, model.alphas_


AGGREGATORS = {"majority": _majority, "MACE": _mace, "Dawid-Skene": _dawid_skene, "GLAD": _glad}


def elsewhere(python, user, item, won, names=tuple(AGGREGATORS)):
    """For each aggregator (probability of 1 per item, skill per user, seconds); and crowd-kit's version."""
    with tempfile.TemporaryDirectory() as folder:
        votes, answer = Path(folder, "votes.npz"), Path(folder, "answer.npz")
        np.savez(votes, user=user, item=item, won=won)
        command = [str(python), str(Path(__file__).resolve()), str(votes), str(answer), *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"crowd-kit failed: {done.stderr.strip()[-600:]}")
        with np.load(answer) as saved:
            found = {
                name: (saved[f"{name}/label"], saved[f"{name}/skill"], float(saved[f"{name}/seconds"]))
                for name in names
            }
            return found, str(saved["version"])


def _main(votes, answer, *names):
    import pandas as pd

    with np.load(votes) as saved:
        user, item, won = (saved[name] for name in ("user", "item", "won"))
    table = pd.DataFrame({"worker": user, "task": item, "label": won})
    out = {"version": np.array(importlib.metadata.version("crowd-kit"))}
    for name in names:
        start = time.perf_counter()
        labels, skill = AGGREGATORS[name](table)
        out[f"{name}/seconds"] = np.array(time.perf_counter() - start)
        chance = labels.reindex(range(item.max() + 1)).get(1, pd.Series(0.0, index=range(item.max() + 1)))
        out[f"{name}/label"] = chance.fillna(0.0).to_numpy(float)
        out[f"{name}/skill"] = skill.reindex(range(user.max() + 1)).to_numpy(float)
    np.savez(answer, **out)


if __name__ == "__main__":
    # this folder must not hide a package of the same name from the imports above
    sys.path = [
        entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent
    ]
    _main(*sys.argv[1:])
