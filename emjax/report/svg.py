"""Axes that write SVG for an HTML page, in the page's own colours, without matplotlib.

`SvgAxes` has the methods of matplotlib's Axes that `emjax.report.draw` calls, so that one function draws a
view both for the page and on a matplotlib Axes. Importing matplotlib takes longer than writing the page.
"""

import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emjax.report.format import clean, ems

# The views draw with these colours; the page replaces each by a CSS variable, so that it can have a dark
# theme.
INK, MUTED, RULE, FILL, PAPER = "#22252a", "#6a6f76", "#dcd9d2", "#c9c8c4", "#fffffe"
BLUE, VERMILION = "#0072b2", "#d55e00"
# Careless to attentive: orange over grey to blue, distinguishable by every kind of colour vision.
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

TEXT, LABEL = 8.5, 9.0  # type sizes in points: ticks and legend, names of the axes
ROW = 14.5  # height of a row of the legend
_BAR = 8.0  # width of the colour bar
_GAP = 14.0  # between frame and colour bar
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass
class _Entry:
    """A row of the legend: its text, and the mark beside it as a function of a place."""

    label: str
    swatch: Any
    last: bool


@dataclass
class _Axis:
    """Limits, scale, ticks and name of one axis."""

    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    ticks: list[float] | None = None
    texts: list[str] | None = None
    name: str = ""
    data: list[np.ndarray] = field(default_factory=list)

    def settle(self, space: float, each: float) -> None:
        """Limits from the data where none were given, and ticks `each` points apart at least."""
        finite = np.concatenate([*self.data, np.zeros(0)])
        finite = finite[np.isfinite(finite) & ((finite > 0.0) | (not self.log))]
        low, high = (finite.min(), finite.max()) if finite.size else (1.0, 1.0)
        if self.log:
            low, high = np.log10(low), np.log10(high)
        margin = 0.05 * (high - low) or 0.5
        ends = (low - margin, high + margin)
        self.low, self.high = (
            own if math.isfinite(own) else float(10.0**end if self.log else end)
            for own, end in zip((self.low, self.high), ends, strict=True)
        )
        if self.ticks is None:
            most = max(2, int(space / each))
            if self.log:
                self.ticks, self.texts = _log_ticks(self.low, self.high, most)
            else:
                self.ticks = _ticks(self.low, self.high, min(most, 9), whole=self.whole)
        self.texts = _plain(self.ticks) if self.texts is None else self.texts

    def share(self, values: Any) -> np.ndarray:
        """Place on the axis, 0 at its low end and 1 at its high end."""
        values = np.asarray(values, dtype=np.float64)
        if not self.log:
            return np.asarray((values - self.low) / (self.high - self.low))
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = math.log(self.low), math.log(self.high)  # their ratio may overflow
        return np.asarray((np.log(values) - low) / (high - low))


class SvgAxes:
    """One picture: `width` and `height` in inches; `prefix` begins its ids, which a page must not repeat.

    `frame` is where the axes lie, (left, bottom, width, height) as shares of the picture; without it the
    texts around them just fit. `label` is what a screen reader says.

    Limit: the length of a text is estimated, because the reader's browser chooses the font.

    Examples
    --------
    >>> ax = SvgAxes(4.0, 3.0, prefix="a", label="a line")
    >>> ax.plot([0, 1], [0, 1], color=BLUE)
    >>> ax.svg()[:5]
    '<svg '
    """

    def __init__(
        self,
        width: float,
        height: float,
        *,
        prefix: str,
        label: str,
        frame: tuple[float, float, float, float] | None = None,
    ) -> None:
        self.width, self.height = 72.0 * width, 72.0 * height
        self.is_wide = width >= 5.0
        self.x, self.y = _Axis(), _Axis()
        self._prefix, self._label, self._given = prefix, label, frame
        self._items: list[tuple[float, bool, Any]] = []  # zorder, whether it is clipped, how to draw it
        self._entries: list[_Entry] = []
        self._columns, self._above = 1, 4.0
        self._scale: tuple[Sequence[str], Sequence[float], Sequence[str], str] | None = None
        self._rows = self._top = False
        self._spine = True

    # ------------------------------------------------------------------ what matplotlib's Axes have too

    def set_xlim(self, low: float, high: float) -> None:
        self.x.low, self.x.high = float(low), float(high)

    def set_ylim(self, low: float, high: float) -> None:
        self.y.low, self.y.high = float(low), float(high)

    def set_xscale(self, scale: str) -> None:
        self.x.log = scale == "log"

    def set_yscale(self, scale: str) -> None:
        self.y.log = scale == "log"

    def set_xlabel(self, name: str) -> None:
        self.x.name = name

    def set_ylabel(self, name: str) -> None:
        self.y.name = name

    def set_xticks(self, ticks: Any, labels: Sequence[str] | None = None) -> None:
        self.x.ticks = [float(tick) for tick in ticks]
        self.x.texts = None if labels is None else list(labels)

    def set_yticks(self, ticks: Any, labels: Sequence[str] | None = None) -> None:
        self.y.ticks = [float(tick) for tick in ticks]
        self.y.texts = None if labels is None else list(labels)

    def plot(
        self,
        x: Any,
        y: Any,
        fmt: str = "-",
        *,
        color: str = INK,
        linewidth: float = 1.5,
        linestyle: Any = None,
        markersize: float = 6.0,
        markerfacecolor: str | None = None,
        markeredgecolor: str | None = None,
        markeredgewidth: float = 1.0,
        label: str = "",
        zorder: float = 2.0,
        clip_on: bool = True,
    ) -> None:
        """A line, markers, or both; `fmt` as matplotlib has it."""
        x, y = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (x, y))
        self.x.data.append(x)
        self.y.data.append(y)
        marker = fmt.strip("-")
        line = linestyle != "none" and (fmt.endswith("-") or not marker)
        stroke = _stroke(color, linewidth, linestyle)
        marks = _filled(markerfacecolor or color, markeredgecolor or color, markeredgewidth)

        def draw(at: "_Frame") -> str:
            left, top = at.x(x), at.y(y)
            known = np.isfinite(left) & np.isfinite(top)
            left, top = left[known], top[known]
            parts = [_line(left, top, stroke)] if line and len(left) > 1 else []
            if marker and markersize > 0 and len(left):
                shapes = "".join(
                    _marker(marker, px, py, markersize) for px, py in zip(left, top, strict=True)
                )
                parts.append(f'<g style="{marks}">{shapes}</g>')
            return "".join(parts)

        def swatch(px: float, py: float) -> str:
            length = 1.6 * TEXT
            text = _line(np.array([px, px + length]), np.array([py, py]), stroke) if line else ""
            if marker and markersize > 0:
                text += f'<g style="{marks}">{_marker(marker, px + length / 2, py, markersize)}</g>'
            return text

        self._add(zorder, clip_on, draw, label, swatch)

    def axhline(self, y: float, **style: Any) -> None:
        """A horizontal line across the frame."""
        self._across(lambda at: ((at.left, at.right), (float(at.y(y)),) * 2), self.y, y, style)

    def axvline(self, x: float, **style: Any) -> None:
        """A vertical line across the frame."""
        self._across(lambda at: ((float(at.x(x)),) * 2, (at.top, at.bottom)), self.x, x, style)

    def _across(self, ends: Any, axis: _Axis, value: float, style: dict[str, Any]) -> None:
        axis.data.append(np.array([value], dtype=np.float64))
        stroke = _stroke(style["color"], style["linewidth"], style.get("linestyle"))

        def draw(at: "_Frame") -> str:
            first, second = (np.array(end) for end in ends(at))
            return _line(first, second, stroke)

        def swatch(px: float, py: float) -> str:
            return _line(np.array([px, px + 1.6 * TEXT]), np.array([py, py]), stroke)

        self._add(2.0, True, draw, style.get("label", ""), swatch)

    def hlines(
        self,
        y: Any,
        left: Any,
        right: Any,
        *,
        color: str,
        linewidth: float,
        label: str = "",
        zorder: float = 2.0,
    ) -> None:
        """A horizontal line for each row, from `left` to `right`."""
        y, left, right = (np.asarray(values, dtype=np.float64) for values in (y, left, right))
        self.x.data += [left, right]
        self.y.data.append(y)
        stroke = _stroke(color, linewidth, None)

        def draw(at: "_Frame") -> str:
            ends = zip(at.x(left), at.x(right), at.y(y), strict=True)
            drawn = "".join(f"M{_n(a)} {_n(row)}H{_n(b)}" for a, b, row in ends)
            return f'<path d="{drawn}" style="{stroke}"/>' if drawn else ""

        def swatch(px: float, py: float) -> str:
            return _line(np.array([px, px + 1.6 * TEXT]), np.array([py, py]), stroke)

        self._add(zorder, True, draw, label, swatch)

    def bar(
        self,
        x: Any,
        height: Any,
        *,
        width: float,
        color: str,
        align: str = "center",
        edgecolor: str = "none",
        linewidth: float = 0.0,
        label: str = "",
    ) -> None:
        """Bars from 0 up."""
        x, height = (np.asarray(values, dtype=np.float64) for values in (x, height))
        start = x - (0.5 * width if align == "center" else 0.0)
        self.x.data += [start, start + width]
        self.y.data += [height, np.zeros(1)]
        style = _filled(color, edgecolor, linewidth)

        def draw(at: "_Frame") -> str:
            tall = height > 0.0
            sides = zip(at.x(start[tall]), at.x(start[tall] + width), at.y(height[tall]), strict=True)
            base = float(at.y(0.0))
            drawn = "".join(f"M{_n(a)} {_n(base)}V{_n(top)}H{_n(b)}V{_n(base)}Z" for a, b, top in sides)
            return f'<path d="{drawn}" style="{style}"/>'

        def swatch(px: float, py: float) -> str:
            d = f"M{_n(px)} {_n(py - 3)}h{_n(1.6 * TEXT)}v6h{_n(-1.6 * TEXT)}Z"
            return f'<path d="{d}" style="{style}"/>'

        self._add(1.0, True, draw, label, swatch, last=True)

    # ----------------------------------------------------------------------------- what they have otherwise

    def dots(self, x: Any, y: Any, area: np.ndarray, colors: Sequence[str]) -> None:
        """Circles; `area` is in points squared."""
        x, y = (np.asarray(values, dtype=np.float64) for values in (x, y))
        self.x.data.append(x)
        self.y.data.append(y)
        radius = 0.5 * np.sqrt(area)

        def draw(at: "_Frame") -> str:
            rows = zip(at.x(x), at.y(y), radius, colors, strict=True)
            circles = "".join(
                f'<circle cx="{_n(px)}" cy="{_n(py)}" r="{_n(r)}" style="fill:{_color(color)}"/>'
                for px, py, r, color in rows
            )
            style = f"{_filled('none', PAPER, 0.4)};fill-opacity:0.85;stroke-opacity:0.85"
            return f'<g style="{style}">{circles}</g>'

        self._add(3.0, True, draw)

    def legend_dot(self, area: float, color: str, label: str) -> None:
        """A dot in the legend alone."""

        def swatch(px: float, py: float) -> str:
            dot = f'cx="{_n(px + 0.8 * TEXT)}" cy="{_n(py)}" r="{_n(0.5 * math.sqrt(area))}"'
            return f'<circle {dot} style="{_filled(color, PAPER, 1.0)}"/>'

        self._add(3.0, True, lambda at: "", label, swatch)

    def color_bar(
        self, colors: Sequence[str], ticks: Sequence[float], texts: Sequence[str], name: str
    ) -> None:
        """A bar to the right with the colours from low to high; ticks between 0 and 1."""
        self._scale = (colors, ticks, texts, name)

    def legend_above(self, columns: int, above: float) -> None:
        """The legend, `above` points over the frame, in so many columns where the picture is wide."""
        self._columns, self._above = columns if self.is_wide else 1, above

    def rows(self, *, ticks_on_top: bool) -> None:
        """A thin line for each row instead of an axis on the left."""
        self._rows, self._spine, self._top = True, False, ticks_on_top

    def _add(
        self, zorder: float, clipped: bool, draw: Any, label: str = "", swatch: Any = None, last: bool = False
    ) -> None:
        self._items.append((zorder, clipped, draw))
        if label:
            self._entries.append(_Entry(label, swatch, last))

    # -------------------------------------------------------------------------------------------- the picture

    def svg(self) -> str:
        """One `<svg>` element, with no script, style sheet or reference to anything outside."""
        at = self._frame()
        ordered = sorted(self._items, key=lambda item: item[0])
        clip = f"{self._prefix}0"
        body = [
            f'<clipPath id="{clip}"><rect x="{_n(at.left)}" y="{_n(at.top)}" '
            f'width="{_n(at.right - at.left)}" height="{_n(at.bottom - at.top)}"/></clipPath>',
            self._axes(at),
        ]
        for _, clipped, draw in ordered:
            drawn = draw(at)
            if drawn:
                body.append(f'<g clip-path="url(#{clip})">{drawn}</g>' if clipped else drawn)
        body += [self._legend(at), self._bar(at)]
        shape = f"max-width:{self.width * 4 / 3:.0f}px;aspect-ratio:{self.width:.1f}/{self.height:.1f}"
        return (
            f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" style="{shape}" role="img" '
            f'aria-label="{html.escape(self._label)}">' + "".join(body) + "</svg>"
        )

    def __html__(self) -> str:
        """As `svg`: a template inserts the picture as it is, since all texts in it are escaped here."""
        return self.svg()

    def _frame(self) -> "_Frame":
        rows = self._legend_rows()
        if self._given is not None:
            left, bottom, width, height = self._given
            left, width = left * self.width, width * self.width
            top, down = (1.0 - bottom - height) * self.height, (1.0 - bottom) * self.height
        else:
            top = (rows * ROW + self._above if rows else 0.0) + 6.0
            down = self.height - (2.2 * TEXT + (1.6 * LABEL if self.x.name else 0.0))
            self.y.settle(down - top, 26.0)
            assert self.y.texts is not None, "settled axes have texts"
            longest = max((_length(text, TEXT) for text in self.y.texts), default=0.0)
            left = longest + 9.0 + (1.7 * LABEL if self.y.name else 0.0)
            end = 10.0
            if self._scale is not None:
                end = _GAP + _BAR + 6.0 + max(_length(t, TEXT) for t in self._scale[2]) + 1.9 * LABEL
            width = self.width - left - end
        self.y.settle(down - top, 26.0)
        self.x.settle(width, 46.0)
        return _Frame(left, top, left + width, down, self.x, self.y)

    def _axes(self, at: "_Frame") -> str:
        """Spines, ticks, their texts, and the names of the axes."""
        spine, tick = _stroke(MUTED, 0.8, None), _stroke(MUTED, 0.7, None)
        parts = []
        lines = f"M{_n(at.left)} {_n(at.bottom)}H{_n(at.right)}"
        lines += f"M{_n(at.left)} {_n(at.top)}V{_n(at.bottom)}" if self._spine else ""
        across = [(value, text) for value, text in zip(at.x(self.x.ticks), self.x.texts or [], strict=True)]
        up = [(value, text) for value, text in zip(at.y(self.y.ticks), self.y.texts or [], strict=True)]
        across = [(x, text) for x, text in across if at.left - 0.5 <= x <= at.right + 0.5]
        up = [(y, text) for y, text in up if at.top - 0.5 <= y <= at.bottom + 0.5]
        if self._rows:
            grid = "".join(f"M{_n(at.left)} {_n(y)}H{_n(at.right)}" for y, _ in up)
            parts.append(f'<path d="{grid}" style="{_stroke(RULE, 0.6, None)}"/>')
        parts.append(f'<path d="{lines}" style="{spine}"/>')
        marks = "".join(f"M{_n(x)} {_n(at.bottom)}v3" for x, _ in across)
        marks += "".join(f"M{_n(x)} {_n(at.top)}v-3" for x, _ in across) if self._top else ""
        marks += "" if self._rows else "".join(f"M{_n(at.left)} {_n(y)}h-3" for y, _ in up)
        parts.append(f'<path d="{marks}" style="{tick}"/>')
        parts += [_text(x, at.bottom + 5.0 + 0.8 * TEXT, text, TEXT, MUTED, "middle") for x, text in across]
        if self._top:
            parts += [_text(x, at.top - 6.0, text, TEXT, MUTED, "middle") for x, text in across]
        ink = INK if self._rows else MUTED
        parts += [_text(at.left - 6.0, y + 0.35 * TEXT, text, TEXT, ink, "end") for y, text in up]
        if self.x.name:
            below = at.bottom + 5.0 + TEXT + 1.25 * LABEL
            parts.append(_text(0.5 * (at.left + at.right), below, self.x.name, LABEL, INK, "middle"))
        if self.y.name:
            parts.append(_upright(LABEL, 0.5 * (at.top + at.bottom), self.y.name))
        return "".join(parts)

    def _legend_rows(self) -> int:
        return math.ceil(len(self._entries) / self._columns)

    def _legend(self, at: "_Frame") -> str:
        """Entries in columns, filled from the top; bars come last, as matplotlib has it."""
        entries = sorted(self._entries, key=lambda entry: entry.last)
        columns, rows = self._columns, self._legend_rows()
        parts, left, first = [], at.left, 0
        for column in range(columns):
            size = len(entries) // columns + (column < len(entries) % columns)
            here, first = entries[first : first + size], first + size
            for row, entry in enumerate(here):
                y = at.top - self._above - (rows - row - 0.5) * ROW
                parts.append(entry.swatch(left, y))
                parts.append(_text(left + 2.4 * TEXT, y + 0.35 * TEXT, entry.label, TEXT, INK, "start"))
            longest = max((_length(entry.label, TEXT) for entry in here), default=0.0)
            left += 2.4 * TEXT + longest + 1.6 * TEXT
        return "".join(parts)

    def _bar(self, at: "_Frame") -> str:
        if self._scale is None:
            return ""
        colors, ticks, texts, name = self._scale
        left, height = at.right + _GAP, at.bottom - at.top
        step = height / len(colors)
        parts = [
            f'<rect x="{_n(left)}" y="{_n(at.bottom - (i + 1) * step)}" width="{_n(_BAR)}" '
            f'height="{_n(step)}" style="fill:{_color(color)};fill-opacity:0.85"/>'
            for i, color in enumerate(colors)
        ]
        for tick, text in zip(ticks, texts, strict=True):
            y = at.bottom - tick * height + 0.35 * TEXT
            parts.append(_text(left + _BAR + 4.0, y, text, TEXT, MUTED, "start"))
        parts.append(_upright(self.width - 3.0, 0.5 * (at.top + at.bottom), name))
        return "".join(parts)


@dataclass(frozen=True)
class _Frame:
    """Where the frame lies in the picture, in points from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float
    across: _Axis
    up: _Axis

    def x(self, values: Any) -> np.ndarray:
        return np.asarray(self.left + (self.right - self.left) * self.across.share(values))

    def y(self, values: Any) -> np.ndarray:
        return np.asarray(self.bottom - (self.bottom - self.top) * self.up.share(values))


def _ticks(low: float, high: float, most: int, *, whole: bool) -> list[float]:
    """Multiples of a round step within the limits, at most about so many."""
    low, high = min(low, high), max(low, high)
    rough = max((high - low) / most, 1.0 if whole else 1e-300)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if power * m >= rough * (1 - 1e-9))
    step = float(math.ceil(step)) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * i for i in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Powers of ten within the limits, at most so many, and how they are written."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    powers = range(math.ceil(first / step) * step, last + 1, step)
    return [10.0**p for p in powers], [f"10{str(p).translate(_SUPERSCRIPT)}" for p in powers]


def _plain(ticks: Sequence[float]) -> list[str]:
    """Numbers with as many decimals as their step needs, and a true minus sign."""
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=1.0)
    scaled = [(places, step * 10.0**places) for places in range(15)]
    decimals = next((n for n, s in scaled if round(s) and abs(s - round(s)) < 1e-6 * s), 15)
    return [f"{tick:.{decimals}f}".replace("-", "\u2212") for tick in np.round(ticks, decimals) + 0.0]


def _length(text: str, size: float) -> float:
    return 0.86 * size * ems(text)


def _n(value: float) -> str:
    """A coordinate to a hundredth of a point, which no screen can show more finely."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _color(color: str) -> str:
    return f"var(--{_NAMES[color]})" if color in _NAMES else color


def _stroke(color: str, width: float, linestyle: Any) -> str:
    style = f"fill:none;stroke:{_color(color)};stroke-width:{width:g};stroke-linejoin:round"
    if isinstance(linestyle, tuple):
        style += ";stroke-dasharray:" + ",".join(f"{width * part:g}" for part in linestyle[1])
    return style


def _filled(color: str, edge: str, width: float) -> str:
    return f"fill:{_color(color)};stroke:{_color(edge)};stroke-width:{width:g}"


def _line(x: np.ndarray, y: np.ndarray, style: str) -> str:
    points = "L".join(f"{_n(a)} {_n(b)}" for a, b in zip(x, y, strict=True))
    return f'<path d="M{points}" style="{style}"/>'


def _marker(marker: str, x: float, y: float, size: float) -> str:
    half = 0.5 * size
    if marker == "o":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(half)}"/>'
    tip = half * math.sqrt(2.0)
    shapes = {
        "s": f"M{_n(x - half)} {_n(y - half)}h{_n(size)}v{_n(size)}h{_n(-size)}Z",
        "D": f"M{_n(x)} {_n(y - tip)}l{_n(tip)} {_n(tip)}l{_n(-tip)} {_n(tip)}l{_n(-tip)} {_n(-tip)}Z",
        "^": f"M{_n(x)} {_n(y - half)}l{_n(half)} {_n(size)}h{_n(-size)}Z",
        "|": f"M{_n(x)} {_n(y - half)}v{_n(size)}",
    }
    return f'<path d="{shapes[marker]}"/>'


def _text(x: float, y: float, text: str, size: float, color: str, anchor: str) -> str:
    style = f"font-size:{size:g}px;fill:{_color(color)};text-anchor:{anchor}"
    return f'<text x="{_n(x)}" y="{_n(y)}" style="{style}">{html.escape(clean(text))}</text>'


def _upright(x: float, y: float, text: str) -> str:
    style = f"font-size:{LABEL:g}px;fill:{_color(INK)};text-anchor:middle"
    turn = f"translate({_n(x)} {_n(y)}) rotate(-90)"
    return f'<text transform="{turn}" style="{style}">{html.escape(clean(text))}</text>'
