"""Votes as tables and arrays: reading, checks and counts, without any probability model."""

from emjax.data.patterns_in_engine import join_cells, read_cells
from emjax.data.preferences import Preferences
from emjax.data.read import join_users, read_votes, write_parquet
from emjax.data.response_patterns import Cells, distinct
from emjax.data.totals import CellCounts

__all__ = [
    "CellCounts",
    "Cells",
    "Preferences",
    "distinct",
    "join_cells",
    "join_users",
    "read_cells",
    "read_votes",
    "write_parquet",
]
