"""Findings on what votes cannot determine, with a remedy; none on what they determine."""

import numpy as np
import pytest

import emjax
from emjax import (
    AttentiveOrRandom,
    Beta,
    BradleyTerry,
    Davidson,
    Density,
    EmjaxWarning,
    Fixed,
    Grid,
    Known,
    ModelError,
    PerPair,
    Points,
    Preferences,
    Shared,
    TwoPoint,
)  # fmt: skip
from emjax.infer.identifiability import Finding, Identifiability
from emjax.model.own_classes import LOGIT, Parameter, namespace, record, static
from emjax.model.pytree import replace

CYCLE = [["a", "b"], ["a", "c"], ["b", "c"]]
CHAIN = [["a", "b"], ["b", "c"]]
COMPONENTS = [["a", "b"], ["c", "d"]]
SQUARE = [["a", "b"], ["b", "c"], ["c", "d"], ["a", "d"]]


def votes(per_user, names=None, users=400, seed=0, spread=2.0):
    """`per_user` votes each, dealt over the comparisons in turn, of users of all levels of attentiveness."""
    rng = np.random.default_rng(seed)
    eta = rng.beta(0.7, 0.7, users)
    if names is None:
        wins = rng.binomial(per_user, 0.5 + 0.4 * eta)
        return Preferences.from_counts(wins, np.full(users, per_user))
    models = sorted({name for pair in names for name in pair})
    strength = dict(zip(models, np.linspace(spread, -spread, len(models)) ** 3 / spread**2, strict=True))
    total = np.zeros((users, len(names)), int)
    for i in range(per_user):
        total[np.arange(users), (np.arange(users) + i) % len(names)] += 1
    mu = np.array([1 / (1 + np.exp(strength[b] - strength[a])) for a, b in names])
    return Preferences.from_counts(
        rng.binomial(total, 0.5 + eta[:, None] * (mu - 0.5)), total, comparisons=names
    )


# votes per user, comparisons, prior, strength, identified, words of the finding, its level
TABLE = [
    (1, None, TwoPoint(), Known(0.9), False, "mean attentiveness", "warning"),
    (1, None, Beta(), Known(0.9), False, "mean attentiveness", "warning"),
    (1, None, Grid(9), Known(0.9), False, "mean attentiveness", "warning"),
    (1, CYCLE, Beta(), BradleyTerry(), False, "mean attentiveness", "warning"),
    (2, None, TwoPoint(), Known(0.9), False, "at least 3 votes", "warning"),
    (3, None, TwoPoint(), Known(0.9), True, None, None),
    (4, None, Points(3), Known(0.9), False, "at least 5 votes", "warning"),
    (5, None, Points(3), Known(0.9), True, None, None),
    (2, None, Beta(), Known(0.9), True, None, None),
    (2, None, Beta(), Shared(), False, "at least 3 votes", "warning"),
    (3, None, TwoPoint(), Shared(), False, "scale of attentiveness", "note"),
    (10, None, TwoPoint(), Shared(), False, "scale of attentiveness", "note"),
    (10, None, Points(3), Shared(), False, "scale of attentiveness", "note"),
    (10, None, Grid(9), Shared(), False, "scale of attentiveness", "note"),
    (12, CYCLE, TwoPoint(), PerPair(), False, "scale of attentiveness", "note"),
    (10, None, TwoPoint(), BradleyTerry(), False, "scale of attentiveness", "note"),
    (10, None, Grid(9), BradleyTerry(), False, "scale of attentiveness", "note"),
    (12, CYCLE, TwoPoint(), BradleyTerry(), True, None, None),
    (12, CYCLE, Beta(), BradleyTerry(), True, None, None),
    (12, SQUARE, TwoPoint(), BradleyTerry(), True, None, None),
    (12, CHAIN, TwoPoint(), BradleyTerry(), False, "", None),
    (12, COMPONENTS, Beta(), BradleyTerry(), False, "2 connected components", "warning"),
    (10, None, Fixed(Beta(1, 1)), Shared(), True, None, None),
    (10, None, Fixed(Beta(1, 1)), Known(0.9), True, None, None),
]


@pytest.mark.parametrize("per_user, names, prior, strength, identified, words, level", TABLE, ids=str)
def test_identifiability_before_the_fit(per_user, names, prior, strength, identified, words, level):
    said = emjax.identifiability(votes(per_user, names), prior, strength=strength)
    assert said.identified is identified, said
    if not identified:
        found = [f for f in said.findings if words in f.what and f.undetermined]
        assert found, said
        assert level is None or found[0].level == level
    for finding in said.findings:
        assert len(finding.what) > 20 and len(finding.remedy) > 20 and "\n" not in finding.what
    assert ("Everything in this model is determined" in repr(said)) == (not said.findings)


AFTER = [row for i, row in enumerate(TABLE) if i in (0, 4, 5, 9, 11, 14, 17, 20, 21)]


@pytest.mark.parametrize("per_user, names, prior, strength, identified, words, level", AFTER, ids=str)
def test_identifiability_of_the_fit(per_user, names, prior, strength, identified, words, level, quiet):
    fit = quiet(votes(per_user, names, users=3000), prior, strength=strength)
    said = fit.identifiability()
    assert any(f.undetermined for f in said.findings) is not identified, said
    at_bound = any(e.at_bound for e in fit.standard_errors())
    assert said.identified is (identified and not at_bound), said
    if not identified:
        assert any(words in f.what and f.undetermined for f in said.findings), said
    assert all(f.remedy for f in said.findings)


def test_misleading_fits_give_warnings_with_the_remedy():
    with pytest.warns(EmjaxWarning, match="Collect at least three votes"):
        emjax.fit_em(votes(1), TwoPoint(), strength=Known(0.9))
    with pytest.warns(EmjaxWarning, match="Add the votes of other users"):
        emjax.fit_em(Preferences.from_counts([14], [20]), TwoPoint(), strength=Known(0.9))
    with pytest.warns(EmjaxWarning, match="Rank models within a component only"):
        emjax.fit_em(votes(12, COMPONENTS), Fixed(Beta(1, 1)), strength=BradleyTerry())


def test_an_undetermined_scale_is_a_note_and_no_warning(recwarn):
    fit = emjax.fit_em(votes(10, users=2000), TwoPoint())
    assert not recwarn.list
    assert [f.level for f in fit.identifiability().findings if f.undetermined] == ["note"]
    assert "Known" in fit.identifiability().findings[0].remedy
    assert not fit.identifiability().identified


def test_models_of_different_components_are_named():
    said = emjax.identifiability(votes(12, COMPONENTS), Fixed(Beta(1, 1)), strength=BradleyTerry())
    text = " ".join(f.what for f in said.findings)
    assert "a, b" in text and "c, d" in text


def test_more_grid_points_than_moments_are_noted():
    said = emjax.identifiability(votes(3), Grid(64), strength=Known(0.9))
    assert said.identified
    assert any("3 moments" in f.what and f.level == "note" for f in said.findings)


def test_an_estimate_at_the_edge_is_noted(quiet):
    rng = np.random.default_rng(4)
    wins = rng.binomial(20, 0.5 + 0.4 * rng.choice([0.0, 1.0], 500))
    fit = quiet(Preferences.from_counts(wins, np.full(500, 20)), TwoPoint(), strength=Known(0.9))
    said = fit.identifiability()
    assert any("at the edge" in f.what and "high = 1 (at its upper bound)" in f.what for f in said.findings)
    assert not said.identified and not any(f.undetermined for f in said.findings)


def test_a_guess_rate_at_its_bound_names_its_usual_reason():
    """Three users of 200 always vote for the answer shown first; all others are attentive."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(200), 40)
    pairs = np.array([("ant", "bee"), ("bee", "cat"), ("ant", "cat")])[rng.integers(3, size=user.size)]
    first = rng.integers(2, size=user.size)
    strength = {"ant": 1.0, "bee": 0.0, "cat": -1.0}
    margin = np.array([strength[a] - strength[b] for a, b in pairs])
    won = np.where(user < 3, first == 0, rng.random(user.size) < 1 / (1 + np.exp(-margin)))
    shown = first == 0  # whether the first of the pair is shown first
    prefs = Preferences.from_votes(user, pairs, won, shown_first=shown)
    fit = emjax.fit_em(prefs, Fixed(Points(2, [0.0, 1.0], [0.015, 0.985])), strength=BradleyTerry())
    (found,) = [f for f in fit.identifiability().findings if "guess" in f.what]
    assert found.level == "note" and found.about == "bound"
    assert found.what.startswith("guess = ") and "(at its upper bound). All careless users" in found.what
    assert "emjax check" in found.remedy and "AttentiveOrRandom(guess=0.5)" in found.remedy
    assert not any("Report it" in f.remedy for f in fit.identifiability().findings)


def test_other_parameters_at_a_bound_have_the_general_remedy():
    assert AttentiveOrRandom().at_bounds() == {} and TwoPoint().at_bounds() == {}
    sides = replace(AttentiveOrRandom(), sides=True)
    assert list(sides.at_bounds()) == ["guess"]
    assert list(replace(sides, ties=Davidson()).at_bounds()) == ["guess"]


@record
class Narrow(Density):
    """A normal density whose standard deviation is given."""

    middle: float = 0.6
    sd: float = static(default=0.1)
    parameters = (Parameter("middle", "middle", LOGIT),)

    def log_density(self, log_eta, log_rest):
        xp = namespace(log_eta, self.middle)
        return -0.5 * ((xp.exp(log_eta) - self.middle) / self.sd) ** 2


@pytest.mark.parametrize("prior", [Narrow(sd=0.002), Fixed(Narrow(0.5, sd=0.004)), Narrow(0.6, sd=0.008)])
def test_a_density_narrower_than_its_nodes_are_apart_is_a_warning(prior):
    said = emjax.identifiability(votes(20), prior, strength=Known(0.9))
    (found,) = [f for f in said.findings if "narrower than its nodes" in f.what]
    assert found.level == "warning" and "TwoPoint" in found.remedy
    with pytest.warns(EmjaxWarning, match="narrower than its nodes are apart"):
        emjax.fit_em(votes(20), prior, strength=Known(0.9))


@pytest.mark.parametrize(
    "prior",
    [Narrow(sd=0.03), Narrow(sd=0.1), Beta(200, 200), Beta(0.05, 200), Beta(200, 0.05), Beta(0.05, 0.05)],
)
def test_a_density_that_its_nodes_follow_is_none(prior):
    """Beta's are the narrowest, and those with most mass at the ends, that there are."""
    said = emjax.identifiability(votes(20), Fixed(prior), strength=Known(0.9))
    assert not any("narrower" in f.what for f in said.findings)


def test_an_open_scale_is_said_in_one_line_and_a_determined_one_is_not(quiet):
    open_scale = quiet(votes(10), TwoPoint()).identifiability().open_scale
    assert open_scale.startswith("the scale of attentiveness is not determined") and "\n" not in open_scale
    loose = Identifiability((Finding("note", "Hardly.", "More votes.", about="scale"),), 3, 3, 1e4)
    assert loose.open_scale.startswith("the scale of attentiveness is hardly determined")
    for settled in (Known(0.9), Known(0.7)):
        assert quiet(votes(10), TwoPoint(), strength=settled).identifiability().open_scale == ""


def test_a_known_strength_of_one_half_is_refused():
    with pytest.raises(ModelError, match="nothing can be inferred"):
        emjax.identifiability(votes(5), TwoPoint(), strength=Known(0.5))


def test_rank_and_parameters_are_counted():
    said = emjax.identifiability(votes(12, CYCLE), Beta(), strength=BradleyTerry())
    assert (said.rank, said.n_parameters) == (4, 4)  # two shapes, three strengths less their level
    said = emjax.identifiability(votes(2), TwoPoint(), strength=Known(0.9))
    assert (said.rank, said.n_parameters) == (2, 3)
