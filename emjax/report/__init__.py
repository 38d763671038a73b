"""What people see: four views of a fit, and one self-contained page.

The room reads plain numbers only: the summary of a fit and tables of NumPy arrays, or the files of an output
folder.
"""

from emjax.report.page import write_report
from emjax.report.plots import plot_attentiveness, plot_leaderboard, plot_trace, plot_users

__all__ = ["plot_attentiveness", "plot_leaderboard", "plot_trace", "plot_users", "write_report"]
