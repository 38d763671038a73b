"""How the documentation is built: `make docs` writes it to build/docs."""

from importlib.metadata import version as installed_version

project = "emjax"
author = "the emjax authors"
copyright = "the emjax authors"
version = release = installed_version("emjax")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and units stand in the text of each docstring
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"emjax {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
