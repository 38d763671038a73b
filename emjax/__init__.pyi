"""The public names of `emjax`, each with the module that it is imported from when it is first used."""

from .bayes.hyperpriors import Hyperpriors
from .bayes.loo import compare
from .bayes.result import BayesFit
from .bayes.sample import fit_bayes
from .data.aggregate import aggregate
from .data.anchor_files import read_anchor_votes, write_anchor_votes
from .data.anchors import AnchorVotes
from .data.cell_counts import CellCounts
from .data.patterns_in_engine import join_cells, read_cells
from .data.preferences import Preferences
from .data.read import read_votes
from .data.shards import Shards, open_shards
from .data.strata import VoteStrata
from .data.vote_check import VoteCheck, check_votes
from .decide.filter import Filtered, filter_votes
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
from .decide.vote_posteriors import VotePosteriors, vote_posteriors
from .errors import (
    EmjaxError,
    EmjaxWarning,
    FitError,
    MissingExtra,
    ModelError,
    OutputError,
    VotesError,
)
from .infer.acceleration import NoAcceleration, Squarem
from .infer.changes import Changes, changes
from .infer.cross_validation import cross_validate
from .infer.em import fit_em, identifiability
from .infer.fit import Fit
from .infer.identifiability import Finding, Identifiability
from .infer.leaderboard import Difference
from .infer.load import load_fit
from .infer.standard_errors import StandardErrors
from .model.attention_covariates import VoteFeatures
from .model.bradley_terry import BradleyTerry
from .model.item_strength import PerItem
from .model.posterior import Posterior
from .model.prior import Attentiveness, Fixed
from .model.prior_beta import Beta
from .model.prior_density import Density
from .model.priors_discrete import Grid, Points, TwoPoint
from .model.registry import register
from .model.response import AttentiveOrRandom, Behavior, Sharpness
from .model.reward_calibration import MonotoneReward
from .model.reward_network import RewardNetwork
from .model.simulate import Simulation, simulate
from .model.strength import Known, PerPair, Shared, Strength
from .model.strength_covariates import Covariates
from .model.ties import Davidson, RaoKupper

__version__: str

__all__ = [
    # votes
    "Preferences",
    "AnchorVotes",
    "VoteStrata",
    "read_anchor_votes",
    "write_anchor_votes",
    "read_votes",
    "check_votes",
    "VoteCheck",
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
    "PerItem",
    "RewardNetwork",
    "MonotoneReward",
    "AttentiveOrRandom",
    "Sharpness",
    "VoteFeatures",
    "Covariates",
    "Davidson",
    "RaoKupper",
    "Posterior",
    "Simulation",
    "simulate",
    # classes of one's own
    "Attentiveness",
    "Density",
    "Strength",
    "Behavior",
    "register",
    # decide
    "filter_votes",
    "Filtered",
    "Threshold",
    "TopFraction",
    "Credible",
    "MaxInformation",
    "Weights",
    "SoftLabels",
    "Attentive",
    "Flip",
    "Likely",
    "vote_posteriors",
    "VotePosteriors",
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
    "changes",
    "Changes",
    "Difference",
    "NoAcceleration",
    "Squarem",
    "identifiability",
    "Identifiability",
    "Finding",
    "StandardErrors",
    "cross_validate",
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
