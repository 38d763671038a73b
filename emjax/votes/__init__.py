"""What was seen: tables and arrays of votes, counted; no probability here."""

from emjax.votes.cells import Cells, distinct
from emjax.votes.engine_cells import join_cells, read_cells
from emjax.votes.frames import join_users, read_votes, write_parquet
from emjax.votes.overview import CellCounts
from emjax.votes.preferences import Preferences

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
