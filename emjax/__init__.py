"""emjax: who votes attentively? Attentiveness of users and strengths of models from comparison votes.

Votes were seen; a model says how attentive and careless users vote; we infer attentiveness and strengths.
"""

from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.loo import compare
from emjax.bayes.result import BayesFit
from emjax.bayes.sample import fit_bayes
from emjax.data.aggregate import aggregate
from emjax.data.anchor_files import read_evidence, write_evidence
from emjax.data.anchors import Evidence
from emjax.data.patterns_in_engine import join_cells, read_cells
from emjax.data.preferences import Preferences
from emjax.data.read import read_votes
from emjax.data.shards import Shards, open_shards
from emjax.data.strata import VoteKinds
from emjax.data.totals import CellCounts
from emjax.decide.filter import Kept, keep
from emjax.decide.information_curve import InformationCurve, information_curve
from emjax.decide.policy import (
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
from emjax.decide.predictive_scores import Calibration, PerVote, Reliability, score_votes
from emjax.decide.vote_posteriors import SingleVotes, single_votes
from emjax.errors import (
    EmjaxError,
    EmjaxWarning,
    FitError,
    MissingExtra,
    ModelError,
    OutputError,
    VotesError,
)
from emjax.infer.acceleration import Plain, Squarem
from emjax.infer.cross_validation import validate
from emjax.infer.em import fit_em, identifiability
from emjax.infer.fit import Fit
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.load import load_fit
from emjax.infer.standard_errors import StandardErrors
from emjax.model.attention_covariates import VoteFeatures
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.item_strength import Latent
from emjax.model.posterior import Posterior
from emjax.model.prior import Fixed
from emjax.model.prior_beta import Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.response import AttentiveOrRandom, Sharpness
from emjax.model.reward_calibration import Calibrated
from emjax.model.reward_network import Contextual
from emjax.model.simulate import Simulation, simulate
from emjax.model.strength import Known, PerPair, Shared
from emjax.model.ties import Davidson, RaoKupper

__version__ = "0.1.0"

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
