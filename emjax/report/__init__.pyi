"""The public names of `emjax.report`, each with the module that it is imported from when it is first used."""

from .fit_page import write_report
from .plots import (
    plot_attentiveness,
    plot_calibration,
    plot_keeping,
    plot_leaderboard,
    plot_trace,
    plot_users,
    plot_win_rates,
)
from .write_fit_folder import write_output

__all__ = [
    "plot_attentiveness",
    "plot_calibration",
    "plot_keeping",
    "plot_leaderboard",
    "plot_trace",
    "plot_users",
    "plot_win_rates",
    "write_output",
    "write_report",
]
