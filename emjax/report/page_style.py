"""The style sheet of the page: system fonts, two themes, one column."""

from importlib.resources import files

from emjax.report.svg import VARIABLES

# The colours of the views are meant for white paper; the page's is a little warmer.
LIGHT = VARIABLES | {"paper": "#fdfcf9", "note": "#f5f2ea", "warning": "#8a4b00"}
# The dark theme keeps the hues and lifts the lightness; orange and blue stay apart for every colour vision.
DARK = {
    "ink": "#e9e7e2",
    "muted": "#a2a7ae",
    "rule": "#373b41",
    "fill": "#50545a",
    "paper": "#17191c",
    "blue": "#5aaee3",
    "vermilion": "#f08a4b",
    "note": "#1f2226",
    "warning": "#f0b067",
    "scale-0": "#e8743b",
    "scale-1": "#e68a54",
    "scale-2": "#e3a273",
    "scale-3": "#dcb798",
    "scale-4": "#c9c3bb",
    "scale-5": "#b2c0cc",
    "scale-6": "#92b8d9",
    "scale-7": "#72aadb",
    "scale-8": "#539cd9",
    "scale-9": "#3f90d6",
}


def style_sheet() -> str:
    """The page's CSS: the colours of both themes, then page.css.

    Examples
    --------
    >>> "prefers-color-scheme: dark" in style_sheet()
    True
    """
    rules = (files("emjax.report") / "page.css").read_text(encoding="utf-8")
    light, dark = (
        "".join(f"--{name}:{value};" for name, value in colors.items()) for colors in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{rules}"
    )
