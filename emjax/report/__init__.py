"""What people see: views of a fit, a filter and how well votes are foretold, and self-contained pages.

The views take a fit and its tables, or plain numbers of the same names; the page takes the files of an output
folder alone.
"""

from emjax.report.information_plot import plot_keeping
from emjax.report.page import write_report
from emjax.report.plots import plot_attentiveness, plot_leaderboard, plot_trace, plot_users
from emjax.report.reliability_plot import plot_calibration
from emjax.report.win_rates_plot import plot_win_rates

__all__ = [
    "plot_attentiveness",
    "plot_calibration",
    "plot_keeping",
    "plot_leaderboard",
    "plot_trace",
    "plot_users",
    "plot_win_rates",
    "write_report",
]
