"""A matplotlib figure as SVG that can stand inside an HTML page, in the page's own colours."""

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# The views draw with these colours; the page replaces each by a CSS variable, so that it can have a dark
# side.
INK, MUTED, RULE, FILL, PAPER = "#22252a", "#6a6f76", "#dcd9d2", "#c9c8c4", "#fffffe"
BLUE, VERMILION = "#0072b2", "#d55e00"
# Careless to attentive: orange over grey to blue, told apart by every kind of colour vision.
SCALE = (
    "#a8430a",
    "#c4611c",
    "#d98440",
    "#d3a67c",
    "#b3aaa0",
    "#93a5b5",
    "#6f9fc6",
    "#4688bd",
    "#2371ab",
    "#0b578f",
)
_NAMES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    FILL: "fill",
    PAPER: "paper",
    BLUE: "blue",
    VERMILION: "vermilion",
}
_NAMES |= {color: f"scale-{i}" for i, color in enumerate(SCALE)}
VARIABLES = {name: color for color, name in _NAMES.items()}

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "emjax",
    "text.usetex": False,
    "path.simplify": True,
}


def svg_of(figure: Figure, *, prefix: str, label: str) -> str:
    """The figure as one `<svg>` element: no script, style sheet, namespace or reference to anything outside.

    Text stays text, so the reader's browser chooses the font. Ids begin with `prefix`, which must differ
    between the figures of a page; `label` is what a screen reader says. Colours are CSS variables of the
    page (`VARIABLES`).

    Limit: matplotlib measures text in its own font, so a label in a script which that font lacks is placed
    by estimate.

    Examples
    --------
    >>> figure = Figure(figsize=(2, 1))
    >>> svg_of(figure, prefix="a", label="nothing")[:5]
    '<svg '
    """
    figure.patch.set_alpha(0.0)
    target = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        FigureCanvasSVG(figure).print_svg(
            target, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    root = ElementTree.fromstring(target.getvalue())
    for parent in root.iter():
        for child in [c for c in parent if c.tag.endswith("}metadata")]:
            parent.remove(child)
    _strip_namespaces(root)
    _rename_ids(root, prefix)
    for element in root.iter():
        element.tail = None  # indentation between elements; text stands in text nodes
        for name, value in element.attrib.items():
            if name == "style":
                element.set(name, _themed(value))
            elif name in ("d", "x", "y", "transform"):
                element.set(name, _rounded(value))
    for element in root.iter():
        if len(element) > 1 and all(_as_circle(child) for child in element):
            _share(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    width, height = (72.0 * side for side in figure.get_size_inches())
    root.set("style", f"max-width:{width * 4 / 3:.0f}px;aspect-ratio:{width:.1f}/{height:.1f}")
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _strip_namespaces(root: ElementTree.Element) -> None:
    """HTML knows SVG by its tags: namespaces are not needed there, and href has replaced xlink:href."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in [n for n in element.attrib if n.startswith("{")]:
            element.set(name.rpartition("}")[2], element.attrib.pop(name))


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    """Ids that nothing refers to go (each figure has the same ones); the others get the figure's prefix."""
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            used |= set(re.findall(r"url\(#([^)]+)\)", value))
            if name == "href" and value.startswith("#"):
                used.add(value[1:])
    short = {identifier: f"{prefix}{i}" for i, identifier in enumerate(sorted(used))}
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id":
                del element.attrib["id"]
                if value in short:
                    element.set("id", short[value])
            elif name == "href" and value.startswith("#"):
                element.set("href", f"#{short[value[1:]]}")
            elif "url(#" in value:
                element.set(name, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{short[m[1]]})", value))


def _rounded(numbers: str) -> str:
    """Coordinates to a hundredth of a point, which no screen can tell from the rest."""
    return re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), numbers)


def _as_circle(path: ElementTree.Element) -> bool:
    """Turn matplotlib's circle (eight Bezier curves) into a `<circle>`; whether it is one now."""
    drawn = path.get("d", "")
    if path.tag == "circle" or path.tag != "path" or drawn.count("C") != 8 or drawn.count("M") != 1:
        return path.tag == "circle"
    numbers = [float(n) for n in re.findall(r"-?[0-9.]+", drawn)]
    (left, right), (top, bottom) = ((min(n), max(n)) for n in (numbers[::2], numbers[1::2]))
    if abs((right - left) - (bottom - top)) > 0.05:
        return False
    del path.attrib["d"]
    path.tag = "circle"
    for name, value in (("cx", (left + right) / 2), ("cy", (top + bottom) / 2), ("r", (right - left) / 2)):
        path.set(name, f"{value:.2f}")
    return True


def _share(group: ElementTree.Element) -> None:
    """Say once, in the group, what all its circles have in common."""
    styles = [child.get("style", "").split("; ") for child in group]
    common = [rule for rule in styles[0] if all(rule in style for style in styles)]
    for child, style in zip(group, styles, strict=True):
        child.set("style", "; ".join(rule for rule in style if rule not in common))
    clips = {child.get("clip-path") for child in group}
    if len(clips) == 1 and "clip-path" not in group.attrib and "style" not in group.attrib:
        clip = clips.pop()
        for child in group if clip else ():
            child.attrib.pop("clip-path")
        group.attrib |= {"style": "; ".join(common)} | ({"clip-path": clip} if clip else {})
    else:
        for child in group:
            child.set("style", "; ".join([child.get("style", ""), *common]))


def _themed(style: str) -> str:
    """The style with the page's variables for the colours of the views, and without matplotlib's font."""
    style = re.sub(
        r"#[0-9a-f]{6}", lambda m: f"var(--{_NAMES[m[0]]})" if m[0] in _NAMES else m[0], style.lower()
    )
    return re.sub(r"font: ([0-9.]+)px [^;]*", r"font-size: \1px", style)
