"""Every cell of the table of capabilities: it works, or the error is the reason in the table."""

import importlib.util
import warnings
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import emjax
from emjax.model.capabilities import ASKED, CAPABILITIES, PARTS, check_together

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("shards", "cells")
RNG = np.random.default_rng(0)
USER = np.repeat(np.arange(40), 12)
PAIRS = np.array(["ant", "bee", "cat"])[np.array([[0, 1], [1, 2], [0, 2]])[np.arange(480) % 3]]
WON = RNG.random(480) < np.where(USER < 28, 0.85, 0.5)
COLUMNS = pd.DataFrame(
    {
        "user": USER,
        "model_a": PAIRS[:, 0],
        "model_b": PAIRS[:, 1],
        "winner": np.where(WON, "a", "b"),
        "topic": np.array(["code", "prose"])[np.arange(480) // 3 % 2],
        "item": [f"q{i}" for i in np.arange(480) % 60],
        "seconds": RNG.lognormal(size=480).round(2),
        "length": RNG.integers(-2, 3, 480),
        "first": RNG.choice(["a", "b"], 480),
        "right": [["a", ""][int(i)] for i in RNG.random(480) > 0.1],
    }
)
COLUMNS.loc[RNG.random(480) < 0.1, "winner"] = "tie"
ITEMS = sorted(set(COLUMNS["item"]))
ANSWERS = [(item, model) for item in ITEMS for model in ("ant", "bee", "cat")]
STRENGTHS = {
    "Known": lambda: emjax.Known(0.8),
    "Shared": lambda: emjax.Shared(),
    "PerPair": lambda: emjax.PerPair(),
    "BradleyTerry": lambda: emjax.BradleyTerry(),
    "BradleyTerry(l2_context)": lambda: emjax.BradleyTerry(l2_context=1.0),
    "PerItem": lambda: emjax.PerItem(2),
    "RewardNetwork": lambda: emjax.RewardNetwork(ANSWERS, RNG.normal(size=(len(ANSWERS), 2)), held_out=0),
    "MonotoneReward": lambda: emjax.MonotoneReward(ANSWERS, RNG.normal(size=len(ANSWERS))),
}
CONTEXTS = {"BradleyTerry(l2_context)": "topic"} | dict.fromkeys(
    ("PerItem", "RewardNetwork", "MonotoneReward"), "item"
)
READ = {
    "ties": {"ties": "model"},
    "sides": {"shown_first": "first"},
    "vote features": {"vote_features": ["seconds"], "feature_bins": 2},
    "covariates": {"covariates": ["length"]},
    "anchor votes": {"gold": "right"},
}


def model_of(part: str) -> dict:
    """Prior and strength of a model that has this part."""
    prior = emjax.Grid(9, low=-1) if part == "attentiveness below 0" else emjax.TwoPoint()
    return {"prior": prior, "strength": STRENGTHS[part]() if part in STRENGTHS else None}


def votes_of(*parts: str) -> emjax.Preferences:
    """Votes that have these parts, in memory."""
    settings: dict = {}
    for part in parts:
        settings |= READ.get(part, {})
    by_context = [CONTEXTS[part] for part in parts if part in CONTEXTS]
    if by_context and not {"vote features", "covariates"} & {*parts}:
        settings["context"] = by_context[0]
    return emjax.read_votes(COLUMNS, **settings)


def ask(part: str, asked: str):
    """Do what is asked of a model or votes with this part."""
    model = model_of(part)
    prior, strength = model["prior"], model["strength"]
    if asked == "leaderboard" and part not in STRENGTHS:
        strength = emjax.BradleyTerry()  # of one comparison, as cells are, it would be Shared
    prefs = votes_of(part, asked)
    if "cells" in (part, asked):
        two = COLUMNS[(COLUMNS["model_a"] == "ant") & (COLUMNS["model_b"] == "bee")]
        in_cells = ("ties", "sides", "anchor votes")
        options = {name: of for one in (part, asked) if one in in_cells for name, of in READ[one].items()}
        given = emjax.read_cells(two, **options)
    else:
        given = [prefs] if "shards" in (part, asked) else prefs
    if asked == "identifiability":
        return emjax.identifiability(given, prior, strength=strength)
    if asked == "fit_bayes":
        sizes = {"num_warmup": 3, "num_samples": 3, "num_chains": 1}
        return emjax.fit_bayes(given, prior, strength=strength, key=0, **sizes)
    options: dict = {}
    if asked == "mesh":
        options["mesh"] = jax.make_mesh((1,), ("users",), axis_types=(jax.sharding.AxisType.Auto,))
    if asked == "prior_users":
        options["prior_users"] = emjax.AnchorVotes.from_counts([1, 2], right=[9, 2], wrong=[1, 8])
        if part in ("ties", "sides"):
            pytest.skip("anchor votes of an earlier fit have the outcomes of its votes")
    fit = emjax.fit_em(given, prior, strength=strength, max_steps=5, **options)
    if asked == "history":
        return fit.history(given)
    return fit.leaderboard(given) if asked == "leaderboard" else fit


CELLS = [
    # Reasons, and a third of what works, stay in `make test`; `make test-all` walks every cell.
    pytest.param(
        part,
        asked,
        id=f"{part} x {asked}",
        marks=[pytest.mark.long]
        if not {(part, asked), (asked, part)} & {*CAPABILITIES} and (len(part) + len(asked)) % 3
        else [],
    )
    for part in (*PARTS, *SOURCES)
    for asked in ASKED
    if part != asked and not {part, asked} <= {*SOURCES}
]


@pytest.mark.parametrize(("part", "asked"), CELLS)
def test_a_cell_works_or_gives_its_reason(part, asked):
    reason = CAPABILITIES.get((part, asked), CAPABILITIES.get((asked, part)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps and draws there are too few
        if reason is None:
            assert ask(part, asked) is not None
            return
        with pytest.raises(emjax.EmjaxError) as caught:
            ask(part, asked)
    assert str(caught.value).endswith(reason)  # what is found in a shard names the shard first


def test_the_table_names_nothing_that_does_not_exist():
    for part, asked in CAPABILITIES:
        assert part in (*PARTS, *SOURCES) and asked in ASKED


def test_the_documentation_has_this_table():
    spec = importlib.util.spec_from_file_location("table", ROOT / "docs" / "capability_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.PAGE.read_text(encoding="utf-8")
    assert module.with_table(page) == page, "run make structure"


def test_a_new_part_goes_with_everything_until_the_table_says_otherwise():
    check_together(["a class from outside", "mesh", "shards", "leaderboard"])
