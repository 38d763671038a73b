"""What people see: views of a fit, a filter and how well votes are foretold, and self-contained pages.

The views take a fit and its tables, or plain numbers of the same names; the page takes the files of an output
folder alone.
"""

import lazy_loader

# The names are in __init__.pyi, which type checkers read too; nothing is imported before it is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
