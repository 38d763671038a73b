"""Pages from the templates in `templates/`, which hold all HTML: text from outside is escaped there."""

from functools import cache
from typing import Any

import jinja2

from emjax.report import format
from emjax.report.svg import VARIABLES


def render(template: str, **content: Any) -> str:
    """The page that a template makes of plain content; the style sheet is part of it.

    Every value is escaped, unless it says by `__html__` that it is HTML, as `SvgAxes` does. A name that the
    template uses and that is not given is an error.

    Examples
    --------
    >>> render("page.html", title="a < b").split("title>")[1]
    'a &lt; b</'
    """
    return environment().get_template(template).render(colors=VARIABLES, **content)


def prepare() -> None:
    """Compile all templates now, which takes some time, and not when the first page is written."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment() -> jinja2.Environment:
    """Where templates are found, and what they may call: the formats of numbers and text."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("emjax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (format.clean, format.prose, format.count, format.number, format.percent, format.plural)
    made.filters |= {function.__name__: function for function in filters}
    return made
