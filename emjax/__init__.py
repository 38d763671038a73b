"""emjax: who votes attentively? Attentiveness of users and strengths of models from comparison votes.

Votes were seen; a model says how attentive and careless users vote; we infer attentiveness and strengths.
"""

from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.loo import compare
from emjax.bayes.result import BayesFit
from emjax.bayes.sample import fit_bayes
from emjax.decide.calibration import Calibration, PerVote, Reliability, score_votes
from emjax.decide.information import InformationCurve, information_curve
from emjax.decide.kept import Kept, keep
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
from emjax.decide.single import SingleVotes, single_votes
from emjax.errors import (
    EmjaxError,
    EmjaxWarning,
    FitError,
    MissingExtra,
    ModelError,
    OutputError,
    VotesError,
)
from emjax.infer.accelerate import Plain, Squarem
from emjax.infer.em import fit_em, identifiability
from emjax.infer.fit import Fit
from emjax.infer.identify import Finding, Identifiability
from emjax.infer.load import load_fit
from emjax.infer.uncertainty import StandardErrors
from emjax.infer.validate import validate
from emjax.model.attentiveness import Fixed
from emjax.model.behavior import AttentiveOrRandom, Sharpness
from emjax.model.beta import Beta
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.calibrated import Calibrated
from emjax.model.contextual import Contextual
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.features import VoteFeatures
from emjax.model.latent import Latent
from emjax.model.posterior import Posterior
from emjax.model.simulate import Simulation, simulate
from emjax.model.strength import Known, PerPair, Shared
from emjax.model.ties import Davidson, RaoKupper
from emjax.votes.aggregate import aggregate
from emjax.votes.engine_cells import join_cells, read_cells
from emjax.votes.evidence import Evidence
from emjax.votes.evidence_files import read_evidence, write_evidence
from emjax.votes.frames import read_votes
from emjax.votes.overview import CellCounts
from emjax.votes.preferences import Preferences
from emjax.votes.shards import Shards, open_shards
from emjax.votes.vote_kinds import VoteKinds

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
