"""How the documentation is built: `make docs` writes it to build/docs."""

from importlib.metadata import version as installed_version
from pathlib import Path

project = "emjax"
author = "the emjax authors"
copyright = "the emjax authors"
version = release = installed_version("emjax")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are shown as they were run: `make notebooks`
nb_code_prompt_show = "Show the code of the picture"
nb_code_prompt_hide = "Hide the code"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and units stand in the text of each docstring
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False
suppress_warnings = ["ref.python"]  # types in plain words, such as "table", are also names of attributes

html_theme = "furo"
html_title = f"emjax {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"

HERE = Path(__file__).resolve().parent


def copy_notebooks(_app):
    """Put the notebooks of examples/ where Sphinx finds them: em_vs_bayes as docs/notebooks/em-vs-bayes."""
    (HERE / "notebooks").mkdir(exist_ok=True)
    for notebook in (HERE.parent / "examples").glob("*.ipynb"):
        copy = HERE / "notebooks" / notebook.name.replace("_", "-")
        if not copy.is_file() or copy.read_bytes() != notebook.read_bytes():
            copy.write_bytes(notebook.read_bytes())


def setup(app):
    """Sphinx calls this before it looks for pages."""
    app.connect("builder-inited", copy_notebooks)
