"""The public names of `emjax`, each with the module that it is imported from when it is first used."""

from .bayes.hyperpriors import Hyperpriors
from .bayes.loo import compare
from .bayes.result import BayesFit
from .bayes.sample import fit_bayes
from .data.aggregate import aggregate
from .data.anchor_files import read_evidence, write_evidence
from .data.anchors import Evidence
from .data.patterns_in_engine import join_cells, read_cells
from .data.preferences import Preferences
from .data.read import read_votes
from .data.shards import Shards, open_shards
from .data.strata import VoteKinds
from .data.totals import CellCounts
from .decide.filter import Kept, keep
from .decide.information_curve import InformationCurve, information_curve
from .decide.policy import (
    Attentive,
    Credible,
    Flip,
    Likely,
    MaxInformation,
    SoftLabels,
    Threshold,
    TopFraction,
    Weights,
)
from .decide.predictive_scores import Calibration, PerVote, Reliability, score_votes
from .decide.vote_posteriors import SingleVotes, single_votes
from .errors import (
    EmjaxError,
    EmjaxWarning,
    FitError,
    MissingExtra,
    ModelError,
    OutputError,
    VotesError,
)
from .infer.acceleration import Plain, Squarem
from .infer.cross_validation import validate
from .infer.em import fit_em, identifiability
from .infer.fit import Fit
from .infer.identifiability import Finding, Identifiability
from .infer.load import load_fit
from .infer.standard_errors import StandardErrors
from .model.attention_covariates import VoteFeatures
from .model.bradley_terry import BradleyTerry
from .model.item_strength import Latent
from .model.posterior import Posterior
from .model.prior import Fixed
from .model.prior_beta import Beta
from .model.priors_discrete import Grid, Points, TwoPoint
from .model.response import AttentiveOrRandom, Sharpness
from .model.reward_calibration import Calibrated
from .model.reward_network import Contextual
from .model.simulate import Simulation, simulate
from .model.strength import Known, PerPair, Shared
from .model.ties import Davidson, RaoKupper

__version__: str

__all__ = [
    # votes
    "Preferences",
    "Evidence",
    "VoteKinds",
    "read_evidence",
    "write_evidence",
    "read_votes",
    "aggregate",
    "open_shards",
    "Shards",
    "CellCounts",
    "read_cells",
    "join_cells",
    # model
    "TwoPoint",
    "Points",
    "Beta",
    "Grid",
    "Fixed",
    "Known",
    "Shared",
    "PerPair",
    "BradleyTerry",
    "Latent",
    "Contextual",
    "Calibrated",
    "AttentiveOrRandom",
    "Sharpness",
    "VoteFeatures",
    "Davidson",
    "RaoKupper",
    "Posterior",
    "Simulation",
    "simulate",
    # decide
    "keep",
    "Kept",
    "Threshold",
    "TopFraction",
    "Credible",
    "MaxInformation",
    "Weights",
    "SoftLabels",
    "Attentive",
    "Flip",
    "Likely",
    "single_votes",
    "SingleVotes",
    "InformationCurve",
    "information_curve",
    "Calibration",
    "PerVote",
    "Reliability",
    "score_votes",
    # infer
    "fit_em",
    "Fit",
    "load_fit",
    "Plain",
    "Squarem",
    "identifiability",
    "Identifiability",
    "Finding",
    "StandardErrors",
    "validate",
    # full Bayes
    "fit_bayes",
    "BayesFit",
    "Hyperpriors",
    "compare",
    # errors
    "EmjaxError",
    "EmjaxWarning",
    "VotesError",
    "ModelError",
    "FitError",
    "OutputError",
    "MissingExtra",
]
