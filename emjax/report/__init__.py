"""What people read: views of a fit, a filter and how well votes are predicted, and self-contained pages.

The views take a fit and its tables, or plain numbers of the same names; the page takes the files of an output
folder alone. Each is imported when it is asked for, because the views need matplotlib and the page does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_WHERE = {
    "plot_attentiveness": "plots",
    "plot_calibration": "reliability_plot",
    "plot_keeping": "information_plot",
    "plot_leaderboard": "plots",
    "plot_trace": "plots",
    "plot_users": "plots",
    "plot_win_rates": "win_rates_plot",
    "write_report": "page",
}


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
