"""The public names of `emjax.data`, each with the module that it is imported from when it is first used."""

from .cell_counts import CellCounts
from .patterns_in_engine import join_cells, read_cells
from .preferences import Preferences
from .read import join_users, read_votes, write_parquet
from .response_patterns import Cells, distinct

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
