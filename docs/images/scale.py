"""Draws images/scale.png, the picture of docs/scale.md: python docs/draw_scale.py."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, SOFT, DEEP, WARM = "#222222", "#dfe6ee", "#2b6cb0", "#c05621"


def box(ax: Axes, x: float, y: float, text: str, *, width: float, color: str = SOFT, ink: str = INK) -> None:
    """A box with words, centred at x, y."""
    height = 0.085 + 0.05 * text.count("\n")
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.012", fc=color, ec="none"
    )
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", fontsize=8.5, color=ink)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow between two places."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#777777", lw=1))


def same_counts(ax: Axes) -> None:
    """Users with the same counts are one row."""
    counts = ["7 of 10", "7 of 10", "4 of 10", "7 of 10", "4 of 10", "9 of 10"]
    rows = {"7 of 10": (0.66, 3), "4 of 10": (0.46, 2), "9 of 10": (0.26, 1)}
    for i, count in enumerate(counts):
        y = 0.76 - 0.12 * i
        box(ax, 0.2, y, f"user {i + 1}: {count}", width=0.34)
        arrow(ax, (0.39, y), (0.57, rows[count][0]))
    for count, (y, times) in rows.items():
        box(ax, 0.78, y, f"{count}  × {times}", width=0.34, color=DEEP, ink="white")
    ax.text(0.5, 0.02, "one comparison, ten million users: 752 rows", ha="center", fontsize=8.5, color=INK)


def sums_add_up(ax: Axes) -> None:
    """Every part of the users sends three small arrays."""
    for y, text in (
        (0.78, "a device"),
        (0.6, "another process"),
        (0.42, "a shard on disk"),
        (0.24, "today's votes"),
    ):
        box(ax, 0.17, y, text, width=0.3)
        arrow(ax, (0.34, y), (0.44, 0.52))
    box(ax, 0.6, 0.52, "log L\nusers per node\nvotes per node", width=0.26, color=DEEP, ink="white")
    ax.text(0.6, 0.65, "+", ha="center", fontsize=16, color=DEEP)
    arrow(ax, (0.75, 0.52), (0.82, 0.52))
    box(ax, 0.91, 0.52, "M-step", width=0.13, color=WARM, ink="white")
    ax.text(0.5, 0.02, "what moves does not grow with the users", ha="center", fontsize=8.5, color=INK)


def one_function(ax: Axes) -> None:
    """What log L is good for."""
    box(ax, 0.2, 0.52, "log L\nof the votes", width=0.26, color=DEEP, ink="white")
    for y, text in (
        (0.82, "its gradient: the E-step"),
        (0.67, "its Hessian: Newton steps,\nstandard errors"),
        (0.5, "as a factor in NumPyro:\nfull Bayes"),
        (0.33, "per user: model comparison"),
        (0.19, "spelt out in NumPy: the tests"),
    ):
        arrow(ax, (0.34, 0.52), (0.45, y))
        box(ax, 0.72, y, text, width=0.5)
    ax.text(0.5, 0.02, "one kernel to make fast, and to get right", ha="center", fontsize=8.5, color=INK)


def main() -> None:
    """Draw the three panels side by side."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    panels = (
        ("1  Users with the same counts are the same user", same_counts),
        ("2  Sums over users add up, wherever users are", sums_add_up),
        ("3  One function is behind everything", one_function),
    )
    for ax, (title, draw) in zip(axes, panels, strict=True):
        ax.set(xlim=(0, 1), ylim=(-0.03, 0.92))
        ax.axis("off")
        ax.set_title(title, fontsize=10.5, color=INK, loc="left")
        draw(ax)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
