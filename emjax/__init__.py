"""emjax: who votes attentively? Attentiveness of users and strengths of models from comparison votes.

Votes were seen; a model says how attentive and careless users vote; we infer attentiveness and strengths.
"""

import lazy_loader

__version__ = "0.1.0"

# The names are in __init__.pyi, which type checkers read too; nothing is imported before it is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
