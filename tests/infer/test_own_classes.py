"""Classes from outside the package, all the way: users, plots, pages, files, held-out votes, full Bayes."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from outside_classes import ETA, WIDTH, ByScore, Habit, Kumaraswamy, LogitNormal, Unregistered
from scipy.integrate import quad
from scipy.special import expit, logit, logsumexp
from scipy.stats import kstest, norm

import emjax
from emjax.infer.exported_programs import Program
from emjax.model.own_classes import IDENTITY, SHARE, Design, Parameter, nodes_at, record, static, within
from emjax.report import plot_attentiveness, plot_users
from emjax.report.write_fit_folder import write_output

TESTS = Path(__file__).resolve().parent.parent
SCORES = {"ant": 1.5, "bee": 0.5, "cat": -0.4, "dog": -1.6}
PAIRS = [("ant", "bee"), ("cat", "ant"), ("bee", "dog"), ("dog", "ant"), ("cat", "bee"), ("dog", "cat")]
STRENGTH = ByScore(scores=tuple(SCORES.items()))


def votes_of(n_users: int = 300, each: int = 30) -> emjax.Preferences:
    """Votes of users with normal log-odds; careless votes go to the first model in seven of ten cases."""
    rng = np.random.default_rng(11)
    user = np.repeat(np.arange(n_users), each)
    eta = expit(rng.normal(1.0, 1.2, n_users))[user]
    pair = np.array(PAIRS)[rng.integers(len(PAIRS), size=len(user))]
    apart = np.array([SCORES[a] - SCORES[b] for a, b in pair])
    won = rng.random(len(user)) < eta * expit(1.2 * apart) + (1.0 - eta) * 0.7
    return emjax.Preferences.from_votes(user, pair, won)


@pytest.fixture(scope="module")
def prefs() -> emjax.Preferences:
    return votes_of()


@pytest.fixture(scope="module")
def fit(prefs) -> emjax.Fit:
    return emjax.fit_em(prefs, LogitNormal(), strength=STRENGTH, behavior=Habit())


@pytest.fixture(scope="module")
def users(prefs, fit) -> dict[str, np.ndarray]:
    table = fit.users(prefs)
    return {name: np.asarray(table[name]) for name in table.column_names}


def log_likelihood_of(prefs: emjax.Preferences, fit: emjax.Fit, user: int, eta: Any) -> Any:
    """Of a user's votes at attentiveness `eta` (...), in plain NumPy."""
    own = prefs.user == user
    names = [prefs.comparisons[i] for i in prefs.comparison[own]]
    mu = expit(float(fit.strength.slope) * np.array([SCORES[a] - SCORES[b] for a, b in names]))
    eta, habit, counts = np.asarray(eta)[..., None], float(fit.behavior.habit), prefs.counts[own]
    p = eta * mu + (1.0 - eta) * habit
    return (counts[:, 0] * np.log(p) + counts[:, 1] * np.log1p(-p)).sum(axis=-1)


def integral(prefs: emjax.Preferences, fit: emjax.Fit, user: int, power: int) -> float:
    """The integral of η^power × likelihood × prior, over the log-odds of η, by adaptive quadrature."""
    middle, spread = float(fit.prior.middle), float(fit.prior.spread)

    def value(x: float) -> float:
        at = log_likelihood_of(prefs, fit, user, expit(x)) + norm.logpdf(x, middle, spread)
        return float(np.exp(at + 20.0) * expit(x) ** power)

    return quad(value, middle - 9 * spread, middle + 9 * spread, epsabs=0, epsrel=1e-10, limit=200)[0]


def test_the_fit_has_the_likelihood_of_adaptive_quadrature(prefs, fit):
    plain = sum(np.log(integral(prefs, fit, user, 0)) - 20.0 for user in range(prefs.n_users))
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(plain, abs=1e-6)


def test_the_fit_is_near_the_truth(fit):
    errors = fit.standard_errors()
    assert errors.names == ("middle", "spread", "slope", "habit")
    assert (np.abs(errors.estimate - [1.0, 1.2, 1.2, 0.7]) < 3.5 * errors.std_err).all()
    assert all(name in repr(fit) for name in ("LogitNormal prior, ByScore strength", "middle", "habit"))


def test_users_are_those_of_adaptive_quadrature(prefs, fit, users):
    for user in range(8):
        total, first, second = (integral(prefs, fit, user, power) for power in range(3))
        assert users["attentiveness"][user] == pytest.approx(first / total, abs=1e-8)
        variance = second / total - (first / total) ** 2
        assert users["attentiveness_sd"][user] == pytest.approx(np.sqrt(variance), abs=1e-7)
        x = np.linspace(-12.0, 12.0, 48_001)
        eta = expit(x)
        prior = norm.logpdf(x, float(fit.prior.middle), float(fit.prior.spread))
        density = prior - np.log(eta * (1.0 - eta))
        mode = eta[np.argmax(log_likelihood_of(prefs, fit, user, eta) + density)]
        assert users["attentiveness_map"][user] == pytest.approx(mode, abs=2e-3)


def test_the_plotted_density_is_that_of_the_prior(prefs, fit):
    said = fit.summary()["attentiveness"]
    eta, density = np.array(said["density"]["eta"]), np.array(said["density"]["density"])
    middle, spread = float(fit.prior.middle), float(fit.prior.spread)
    np.testing.assert_allclose(density, norm.pdf(logit(eta), middle, spread) / (eta * (1 - eta)), rtol=1e-7)
    ends = middle - 9 * spread, middle + 9 * spread
    mean, square = (
        quad(lambda x, k=k: expit(x) ** k * norm.pdf(x, middle, spread), *ends)[0] for k in (1, 2)
    )
    assert [said["mean"], said["sd"]] == pytest.approx([mean, np.sqrt(square - mean**2)], abs=1e-8)
    line = plot_attentiveness(fit, fit.users(prefs)).lines[0].get_xydata()
    np.testing.assert_allclose(line, np.column_stack([eta, 5.0 * density]), rtol=1e-12)
    assert plot_users(fit.users(prefs)).get_xscale() == "log"


def test_an_output_folder_is_written_and_loaded(prefs, fit, users, tmp_path):
    folder = write_output(fit, prefs, tmp_path / "out")
    content = json.loads((folder / "fit.json").read_text())
    types = [content[part]["type"] for part in ("prior", "strength", "behavior")]
    assert types == ["outside_classes:LogitNormal", "outside_classes:ByScore", "outside_classes:Habit"]
    page = (folder / "report.html").read_text()
    assert "LogitNormal" in page and "outside_classes" not in page
    again = emjax.load_fit(folder)
    assert isinstance(again.prior, LogitNormal) and again.strength.scores == STRENGTH.scores
    assert again.log_likelihood == fit.log_likelihood
    np.testing.assert_array_equal(np.asarray(again.users(prefs)["attentiveness"]), users["attentiveness"])
    assert not (folder / "leaderboard.parquet").exists()
    with pytest.raises(emjax.ModelError, match="which ByScore strengths do not have"):
        fit.leaderboard(prefs)


def test_another_process_loads_it_once_the_module_is_imported(fit, tmp_path):
    folder = fit.save(tmp_path / "fit")
    code = (
        "import emjax, sys\n"
        "try:\n"
        "    emjax.load_fit(sys.argv[1])\n"
        "except emjax.OutputError as error:\n"
        "    print(error)\n"
        "assert 'outside_classes' not in sys.modules\n"
        "import outside_classes\n"
        "print(emjax.load_fit(sys.argv[1]).log_likelihood)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=TESTS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refused, found = done.stdout.splitlines()
    assert refused == (
        "fit.json names the class LogitNormal of the module outside_classes, which is not registered: import "
        "outside_classes before load_fit, with @emjax.register above the class."
    )
    assert float(found) == fit.log_likelihood


def test_a_fixed_prior_from_outside_is_saved_too(prefs, fit, tmp_path):
    known = emjax.fit_em(prefs, emjax.Fixed(fit.prior), strength=STRENGTH, behavior=fit.behavior)
    again = emjax.load_fit(known.save(tmp_path))
    assert repr(again.prior) == repr(known.prior) and "LogitNormal" in repr(again.prior)
    assert np.isfinite(again.posterior(prefs).mode).all()


def test_a_class_that_is_not_registered_leaves_no_file(prefs, tmp_path):
    fit = emjax.fit_em(prefs, Unregistered(), strength=STRENGTH, behavior=Habit())
    assert plot_attentiveness(fit).get_xlabel() == "attentiveness"
    for save in (fit.save, lambda folder: write_output(fit, prefs, folder)):
        with pytest.raises(emjax.ModelError, match=r"class Unregistered cannot be saved .* @emjax\.register"):
            save(tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


def test_held_out_votes_are_predicted(prefs):
    found = emjax.cross_validate(prefs, LogitNormal(), strength=STRENGTH, behavior=Habit(), folds=2)
    assert found.gains["every user attentive"].lower > 0
    assert found.gains["one attentiveness for all"].mean > 0


def test_every_user_attentive_is_a_fit_of_the_strength(prefs):
    """The plain logistic regression on the difference of scores."""
    with jax.enable_x64(True):
        slope = float(STRENGTH.unadjusted(prefs.table).slope)
    apart = np.array([SCORES[a] - SCORES[b] for a, b in prefs.comparisons])
    wins = prefs.wins_by_comparison()
    score = (apart * (wins[:, 0] - wins.sum(axis=1) * expit(slope * apart))).sum()
    assert abs(score) < 1e-6


def test_votes_are_filtered(prefs, fit):
    kept = emjax.filter_votes(fit.posterior(prefs), emjax.Threshold(0.5))
    assert 0 < kept.n_votes_kept < prefs.n_votes
    assert emjax.vote_posteriors(fit.posterior(prefs)) is not None


def test_it_is_sampled(prefs, fit):
    pytest.importorskip("numpyro")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)  # few draws
        sampled = emjax.fit_bayes(
            prefs,
            LogitNormal(),
            strength=STRENGTH,
            behavior=Habit(),
            num_warmup=200,
            num_samples=300,
            num_chains=2,
            key=0,
        )
    found, errors = sampled.estimates(), fit.standard_errors()
    assert sampled.names == errors.names
    assert (np.abs(found.estimate - errors.estimate) < errors.std_err).all()
    np.testing.assert_allclose(found.std_err, errors.std_err, rtol=0.5)
    means = sampled.posterior(prefs).mean
    assert np.abs(means - fit.posterior(prefs).mean).max() < 0.1
    assert set(sampled.to_arviz()["posterior"].data_vars) == set(errors.names)
    assert sampled.win_rates(prefs, key=0, draws=20).drawn.sum(axis=1).tolist() == [prefs.n_users] * 20
    with pytest.raises(emjax.ModelError, match="collapsed=False needs a Beta prior"):
        emjax.fit_bayes(prefs, LogitNormal(), strength=STRENGTH, key=0, collapsed=False)


# ------------------------------------------------------------------------------ a density on nodes of its own


@pytest.fixture(scope="module")
def duel() -> emjax.Preferences:
    return emjax.simulate(
        3, n_users=400, votes_per_user=20, prior=Kumaraswamy(3.0, 1.4), strength=0.9
    ).preferences


@pytest.fixture(scope="module")
def on_its_own_nodes(duel) -> emjax.Fit:
    return emjax.fit_em(duel, Kumaraswamy(), strength=emjax.Known(0.9))


def test_users_under_a_density_on_its_own_nodes(duel, on_its_own_nodes):
    a, b = float(on_its_own_nodes.prior.a), float(on_its_own_nodes.prior.b)
    at = on_its_own_nodes.posterior(duel)
    for user in range(5):
        wins, losses = duel.wins_by_user()[user]

        def value(eta, power, wins=wins, losses=losses):
            p = 0.5 + 0.4 * eta
            prior = a * b * eta ** (a - 1) * (1 - eta**a) ** (b - 1)
            return eta**power * p**wins * (1 - p) ** losses * prior

        total, first = (quad(value, 0.0, 1.0, args=(power,), epsrel=1e-10)[0] for power in (0, 1))
        assert at.mean[user] == pytest.approx(first / total, abs=1e-5)
        eta = np.linspace(1e-4, 1 - 1e-4, 20_001)
        assert at.mode[user] == pytest.approx(eta[np.argmax(value(eta, 0))], abs=5e-3)
    low, high = at.interval(0.9)
    assert ((low < at.mean) & (at.mean < high)).all()


def test_its_density_is_drawn_and_saved(on_its_own_nodes, tmp_path):
    said = emjax.load_fit(on_its_own_nodes.save(tmp_path)).summary()["attentiveness"]
    np.testing.assert_allclose(said["nodes"], ETA)
    inside = (ETA > 1e-3) & (ETA < 1 - 1e-3)
    weights = np.array(said["weights"])[inside]
    np.testing.assert_allclose(said["density"]["density"], weights / WIDTH[inside], rtol=1e-12)


def test_users_are_drawn_from_a_density_and_not_from_its_nodes():
    drawn = emjax.simulate(1, n_users=4000, votes_per_user=1, prior=Kumaraswamy(3.0, 1.4)).attentiveness
    assert len(np.unique(drawn)) == 4000
    assert kstest(drawn, lambda x: 1 - (1 - x**3.0) ** 1.4).pvalue > 1e-3
    drawn = emjax.simulate(2, n_users=4000, votes_per_user=1, prior=LogitNormal(0.5, 1.5)).attentiveness
    assert kstest(logit(drawn), norm(0.5, 1.5).cdf).pvalue > 1e-3


def test_a_density_on_its_own_nodes_is_sampled(duel, on_its_own_nodes):
    pytest.importorskip("numpyro")
    options = {"num_warmup": 200, "num_samples": 300, "num_chains": 2, "key": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)  # few draws
        sampled = emjax.fit_bayes(duel, Kumaraswamy(), strength=emjax.Known(0.9), **options)
    mean = sampled.posterior(duel).mean
    assert np.abs(mean - on_its_own_nodes.posterior(duel).mean).max() < 0.1


def test_coarse_nodes_are_enough_for_fewer_votes():
    """Beyond some votes of one user the likelihood is narrower than the nodes."""
    wins, votes = [700, 5, 9, 4], [1000, 10, 10, 10]
    prefs = emjax.Preferences.from_counts(wins, votes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        emjax.fit_em(prefs, emjax.Fixed(OnTenNodes()), strength=emjax.Known(0.9))
    assert any("beyond 73 the likelihood of one user is narrower" in str(w.message) for w in caught)


# --------------------------------------------------------------------------------------------------- mistakes


@record
class OnTenNodes(emjax.Attentiveness):
    """Evenly spread attentiveness on ten nodes; subclasses make a mistake each."""

    eta: Any = static(default=tuple((np.arange(10) + 0.5) / 10))

    def nodes(self):
        return nodes_at(np.array(self.eta))

    def log_weights(self):
        return np.full(10, np.log(0.1))

    def log_spacing(self):
        return np.full(10, np.log(0.1))


@record
class TooFewWeights(OnTenNodes):
    def log_weights(self):
        return np.full(9, -np.log(9.0))


@record
class NoDistribution(OnTenNodes):
    def log_weights(self):
        return np.zeros(10)


@record
class NoNumbers(OnTenNodes):
    def log_weights(self):
        return np.full(10, np.nan)


@record
class TooWide(OnTenNodes):
    def log_spacing(self):
        return np.zeros(10)


@record
class WithoutWidths(OnTenNodes):
    continuous = True

    def log_spacing(self):
        return None


@record
class Beyond(OnTenNodes):
    def nodes(self):
        return nodes_at(np.linspace(0.0, 2.0, 10))


@record
class Descending(OnTenNodes):
    def nodes(self):
        return nodes_at(np.array(self.eta)[::-1])


@record
class OneOfTwoMoves(emjax.Attentiveness):
    high: Any = 0.9

    parameters = (Parameter("high", "high", within(0.0, 1.0), moves_nodes=True),)

    def nodes(self):
        return nodes_at(np.array([0.0, float(self.high)]))

    def log_weights(self):
        return np.log([0.5, 0.5])


class Bare(OnTenNodes):
    """Its author forgot @record."""


@record
class WithText(OnTenNodes):
    label: Any = "text"


@record
class WithList(OnTenNodes):
    labels: Any = static(default=None)


MISTAKES = {
    "weights of another length": (TooFewWeights, "has 10 nodes, and log_weights() of shape (9,)"),
    "weights that do not sum to one": (NoDistribution, "shares that sum to 1, and these sum to 10:"),
    "weights that are no numbers": (NoNumbers, "gives no number (NaN) as the logarithm"),
    "widths that do not add up": (
        TooWide,
        "widths that add up to 1, the length of [0, 1], and these add up to 10",
    ),
    "a density without widths": (WithoutWidths, "is a density only with the widths of its nodes"),
    "nodes beyond 1": (Beyond, "nodes() are attentiveness in one row, from 0 to 1"),
    "nodes that descend": (Descending, "whose nodes ascend from 0 to 1"),
    "one node that moves": (OneOfTwoMoves, "has 2 nodes, and 1 coordinates that move them"),
    "no record": (Bare, "Bare is no record: write @record"),
    "a text that is no option": (WithText, "WithText.label holds 'text', which is no number"),
    "an option that can change": (lambda: WithList(labels=[1]), "labels is static and holds a list"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_prior_is_one_line(mistake):
    make, expected = MISTAKES[mistake]
    prefs = emjax.Preferences.from_counts([8, 5, 6, 2], [10, 10, 10, 10])
    for wrong in (make(), emjax.Fixed(make())):
        with pytest.raises(emjax.ModelError) as error:
            emjax.fit_em(prefs, wrong, strength=emjax.Known(0.8))
        assert expected in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(emjax.ModelError):
            emjax.simulate(0, prior=wrong)


def test_a_parameter_that_is_no_field_is_one_line():
    for options in ({}, {"share": static(default=0.5)}):
        body = {
            "parameters": (Parameter("share", "share", SHARE),),
            "__annotations__": dict.fromkeys(options, Any),
        }
        with pytest.raises(
            emjax.ModelError, match="lists a parameter 'share', which is not one of its fields"
        ):
            record(type("Odd", (emjax.Attentiveness,), body | options))


@pytest.mark.parametrize("wrong", [-1.0, 0.0, np.inf, "wide", [[1.0], [2.0, 3.0]]], ids=repr)
def test_a_value_without_coordinates_is_one_line(wrong):
    with pytest.raises(emjax.ModelError, match="LogitNormal takes as spread finite numbers"):
        LogitNormal(0.0, wrong)


@record
class BeyondItsCoordinates(ByScore):
    def design(self, index):
        return Design(1 + 0 * index[:, :1], np.ones((len(index), 1)), np.zeros(len(index)), size=2)


@record
class ShortIndex(ByScore):
    def index(self, table):
        return super().index(table)[:-1]


@record
class ShortDesign(ByScore):
    def design(self, index):
        return Design(0 * index[:-1, :1], np.ones((len(index) - 1, 1)), np.zeros(len(index) - 1), size=1)


@pytest.mark.parametrize(
    "kind, expected",
    [
        (BeyondItsCoordinates, "has 1 coordinates, and a design of size 2 with columns 1 to 1"),
        (ShortIndex, "a row of integers for each of the 6 comparisons; got shape (5, 2)"),
        (ShortDesign, "has one row for each of the 6 comparisons; got columns (5, 1)"),
    ],
)
def test_a_mistake_in_a_strength_is_one_line(prefs, kind, expected):
    with pytest.raises(emjax.ModelError) as error:
        emjax.fit_em(prefs, emjax.Beta(), strength=kind(scores=STRENGTH.scores))
    assert expected in str(error.value) and "\n" not in str(error.value)


@record
class LosesVotes(Habit):
    def careless(self):
        return np.array([0.5, 0.3])


@record
class ThreeOutcomes(Habit):
    def log_probability(self, eta, rest, logit):
        return np.log(np.full(3, 1 / 3))


@pytest.mark.parametrize(
    "wrong, expected",
    [
        (LosesVotes(), "probabilities that sum to 1, and these sum to 0.92"),
        (ThreeOutcomes(), "one number for each of the 2 outcomes; got shape (3,)"),
    ],
)
def test_a_mistake_in_a_response_is_one_line(prefs, wrong, expected):
    with pytest.raises(emjax.ModelError) as error:
        emjax.fit_em(prefs, emjax.Beta(), strength=STRENGTH, behavior=wrong)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_only_a_class_that_can_be_imported_is_registered():
    @record
    class Local(emjax.Density):
        def log_density(self, log_eta, log_rest):
            return 0.0 * log_eta

    with pytest.raises(emjax.ModelError, match="is defined inside a function"):
        emjax.register(Local)
    with pytest.raises(emjax.ModelError, match="write @register above @record; got Bare"):
        emjax.register(Bare)
    with pytest.raises(emjax.ModelError, match=r"takes two functions, \(draw, start\)"):
        emjax.register(LogitNormal, sites=3)


def doubled(prior: Any) -> Any:
    return prior.middle * 2.0


def test_programs_with_a_class_from_outside_are_not_stored(monkeypatch, tmp_path):
    """Whether its source has changed since is not known."""
    monkeypatch.setenv("EMJAX_EXPORTED_PROGRAMS", str(tmp_path))
    assert float(Program(doubled, jax.jit(doubled), {})(LogitNormal(1.5))) == 3.0
    assert list(tmp_path.iterdir()) == []


def test_the_log_weights_are_normalised():
    prior = LogitNormal(-2.0, 0.3)
    assert logsumexp(prior.log_weights()) == pytest.approx(0.0, abs=1e-12)
    assert prior.mode_is_finite() and prior.votes_needed(scale_is_known=True) == 2
    assert not Spiked().mode_is_finite()


@record
class Spiked(emjax.Density):
    """Infinite at 0."""

    power: Any = 0.5

    parameters = (Parameter("power", "power", IDENTITY),)

    def log_density(self, log_eta, log_rest):
        return (self.power - 1.0) * log_eta


@record
class BoundedSlope(ByScore):
    """Newton steps of a strength would leave the bounds."""

    parameters = (Parameter("slope", "slope", within(0.0, 1.0)),)


@record
class BoundedHabit(Habit):
    """The same in a response model."""

    parameters = tuple(p._replace(transform=within(0.0, 0.15)) for p in Habit.parameters)


def test_bounds_are_for_parameters_of_priors(prefs):
    for changed in (
        {"strength": BoundedSlope(scores=tuple(SCORES.items()))},
        {"behavior": BoundedHabit(0.1)},
    ):
        with pytest.raises(emjax.ModelError, match=r"is within\(0, .*which only parameters of priors can be"):
            emjax.fit_em(prefs, emjax.Beta(), **({"strength": STRENGTH} | changed))
