"""Names of version 0.1 work, say the new name, and are gone from the list of names."""

import json

import numpy as np
import pytest

import emjax
from emjax.data.fit_json import VERSION, as_current

RENAMED = [
    ("keep", "filter_votes"),
    ("Kept", "Filtered"),
    ("single_votes", "vote_posteriors"),
    ("SingleVotes", "VotePosteriors"),
    ("validate", "cross_validate"),
    ("Latent", "PerItem"),
    ("Contextual", "RewardNetwork"),
    ("Calibrated", "MonotoneReward"),
    ("VoteKinds", "VoteStrata"),
    ("Evidence", "AnchorVotes"),
    ("read_evidence", "read_anchor_votes"),
    ("write_evidence", "write_anchor_votes"),
    ("Plain", "NoAcceleration"),
]


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_an_old_name_is_the_new_object_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"emjax.{old} is now emjax.{new}"):
        found = getattr(emjax, old)
    assert found is getattr(emjax, new)
    assert old not in emjax.__all__ and new in emjax.__all__


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="keeps"):
        emjax.keeps  # noqa: B018


def test_old_attributes_give_what_the_new_ones_give():
    pairs, topics = [["a", "b"]] * 2, ["code", "prose"]
    strata = emjax.VoteStrata.given(topics, [1.0, 0.0], ["difficulty"])
    plain = emjax.Preferences.from_votes(["ann", "ann"], pairs, [1, 0], context=topics, gold=[np.nan, 1])
    with pytest.warns(DeprecationWarning, match="Preferences.with_kinds is now Preferences.with_strata"):
        prefs = plain.with_kinds(strata)
    for old, new in (("kinds", "strata"), ("evidence", "anchor_votes")):
        with pytest.warns(DeprecationWarning, match=f"Preferences.{old} is now Preferences.{new}"):
            assert getattr(prefs, old) is getattr(prefs, new) is not None
    with pytest.warns(DeprecationWarning, match="VoteFeatures.kinds is now VoteFeatures.strata"):
        assert emjax.VoteFeatures(strata).kinds is strata


def test_a_saved_fit_of_version_1_is_read(tmp_path):
    pairs = [["a", "b"], ["b", "c"], ["a", "c"]] * 40
    winners, topics = np.random.default_rng(0).random(120) < 0.7, ["code", "prose"] * 60
    prefs = emjax.Preferences.from_votes(np.arange(120) // 6, pairs, winners, context=topics)
    prefs = prefs.with_strata(emjax.VoteStrata.given(["code", "prose"], [1.0, -1.0], ["difficulty"]))
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.TwoPoint()))
    path = fit.save(tmp_path) / "fit.json"
    content = json.loads(path.read_text())
    assert content["version"] == VERSION == 2
    content["polish_steps"] = content.pop("newton_steps")
    content["strength"]["pieces"] = content["strength"].pop("components")
    content["behavior"]["features"]["kinds"] = content["behavior"]["features"].pop("strata")
    path.write_text(json.dumps(content | {"version": 1}))
    again = emjax.load_fit(tmp_path)
    assert again.newton_steps == fit.newton_steps
    assert again.behavior.features.strata == prefs.strata
    np.testing.assert_array_equal(again.strength.components, fit.strength.components)
    with pytest.warns(DeprecationWarning, match="Fit.polish_steps is now Fit.newton_steps"):
        assert again.polish_steps == fit.newton_steps


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in RENAMED if new[0].isupper()])
def test_types_in_a_file_of_version_1_have_their_new_names(old, new):
    known = old in ("Latent", "Contextual", "Calibrated")
    content = as_current({"version": 1, "strength": {"type": old, "inner": [{"type": old}]}})
    expected = new if known else old  # the others are in no file
    assert content["strength"] == {"type": expected, "inner": [{"type": expected}]}
