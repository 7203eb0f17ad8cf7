"""Figures of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .base import BLUE, GREY, ORANGE, axes_or_new

if TYPE_CHECKING:
    import pandas as pd


def plot_handwriting(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the table of ``benchmark handwriting``: accuracy by set and way, with 95% intervals."""
    ax = axes_or_new(ax, 9, 4)
    ways = (("resized", "usual way", GREY), ("inverted", "usual way, inverted", ORANGE))
    for number, (way, name, colour) in enumerate((*ways, ("ours", "MNIST's way", BLUE))):
        low, high = table[way] - table[f"{way}_low"], table[f"{way}_high"] - table[way]
        places = np.arange(len(table)) + (number - 1) * 0.27
        ax.bar(places, table[way], 0.26, yerr=(low, high), capsize=2, color=colour, label=name)
    ax.set_xticks(range(len(table)), table["set"], rotation=20, ha="right", parse_math=False)
    ax.set(ylabel="accuracy", ylim=(0, 1.05))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return ax


def plot_timings(
    seconds: Mapping[str, Sequence[float]], label: str, ax: Axes | None = None
) -> Axes:
    """Draw how long each of several ways took: a bar to the median, a dot for each repeat."""
    ax = axes_or_new(ax, 7, 0.6 + 0.45 * len(seconds))
    medians = [float(np.median(took)) for took in seconds.values()]
    bars = ax.barh(list(seconds), medians, color=BLUE, alpha=0.55)
    for row, took in enumerate(seconds.values()):
        ax.plot(took, [row] * len(took), ".", color="black", alpha=0.6, markersize=4)
    longest = max(max(took) for took in seconds.values())
    for bar, median, took in zip(bars, medians, seconds.values(), strict=True):
        place = (max(took) + 0.01 * longest, bar.get_y() + bar.get_height() / 2)
        ax.annotate(f"{median:.3g}", place, va="center", fontsize=9)
    ax.set(xlabel=label, xlim=(0, 1.12 * longest))
    ax.invert_yaxis()
    return ax


def plot_scaling(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark scale``: pictures a second, and an epoch, by workers."""
    _, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    names = table["workers"].astype(str)
    first = table.iloc[0]
    ideal = table["workers"] / first["workers"]
    panels = (
        ("pictures_per_second", "images per second from a folder", "{:,.0f}", ideal),
        ("epoch", "seconds an epoch", "{:.1f}", 1 / ideal),
    )
    for ax, (column, label, form, ideal) in zip(axes, panels, strict=True):
        bars = ax.bar(names, table[column], 0.6, color=BLUE, alpha=0.7)
        ax.bar_label(bars, fmt=form, padding=3)
        ax.plot(names, first[column] * ideal, "_", color="black", markersize=60, label="ideal")
        ax.set(xlabel="workers", ylabel=label)
        ax.margins(y=0.2)
    axes[0].legend(frameon=False, loc="upper left", markerscale=0.3)
    return axes


def plot_prediction_times(one: pd.DataFrame, folder: pd.DataFrame) -> np.ndarray:
    """Draw the tables of ``benchmark predict``: one picture by way and size, a folder by way."""
    _, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(3, 2), layout="constrained")
    wide = one.pivot(index="way", columns="picture", values="p50").loc[one["way"].unique()]
    upper = one.pivot(index="way", columns="picture", values="p95").loc[wide.index] - wide
    for number, (picture, colour) in enumerate(zip(wide.columns, (BLUE, ORANGE), strict=True)):
        places = np.arange(len(wide)) + (number - 0.5) * 0.38
        axes[0].barh(places, wide[picture], 0.36, color=colour, label=picture)
        axes[0].errorbar(
            wide[picture],
            places,
            xerr=(0 * upper[picture], upper[picture]),
            fmt="none",
            ecolor="black",
            capsize=2,
        )
        ends = wide[picture] + upper[picture]
        for place, p50, end in zip(places, wide[picture], ends, strict=True):
            axes[0].annotate(f" {p50:.2f}", (end, place), va="center", fontsize=8)
    axes[0].set_yticks(range(len(wide)), wide.index)
    axes[0].set(xlabel="milliseconds per image (number: median; line: to the 95th percentile)")
    axes[0].margins(x=0.12)
    axes[0].legend(title="picture", frameon=False)
    bars = axes[1].barh(folder["way"], folder["pictures_per_second"], color=BLUE, alpha=0.7)
    axes[1].bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=9)
    axes[1].set(xlabel="images per second from a folder")
    axes[1].margins(x=0.2)
    for ax in axes:
        ax.invert_yaxis()
    return axes


def plot_training_race(runs: Sequence[dict], ax: Axes | None = None) -> Axes:
    """Draw test errors over seconds of training, a line for each run of ``benchmark train``."""
    ax = axes_or_new(ax, 8, 4.5)
    names = list(dict.fromkeys(run["name"] for run in runs))
    colours = dict(zip(names, map(plt.get_cmap("tab10"), range(10)), strict=False))
    for run in runs:
        seconds = np.cumsum([row["seconds"] for row in run["history"]])
        errors = [1 - row["test_accuracy"] for row in run["history"]]
        label = run["name"] if run["name"] in names else None
        names = [name for name in names if name != run["name"]]
        ax.plot(seconds, errors, "o-", color=colours[run["name"]], label=label, ms=3, lw=1)
    for mark in (0.01, 0.007, 0.005):
        ax.axhline(mark, color=GREY, lw=0.8, ls="--", zorder=0)
    ax.set(
        xscale="log", yscale="log", xlabel="seconds of training", ylabel="errors on the test set"
    )
    ax.set_yticks([0.003, 0.005, 0.007, 0.01, 0.02, 0.05])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    ax.yaxis.set_minor_formatter("")
    ax.set_xticks([3, 10, 30, 100, 300])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(frameon=False)
    return ax


def plot_augment_scores(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark augment``: a dot for each training, a line at the mean."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
    names = list(table["augment"].unique())
    for ax, column in zip(axes, ("validation", "handwriting"), strict=True):
        for place, name in enumerate(names):
            values = table.loc[table["augment"] == name, column]
            ax.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.6)
            ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="black", lw=2)
        ax.set(title=f"accuracy, {column}")
        ax.set_yticks(range(len(names)), names)
        ax.xaxis.set_major_formatter("{x:.2%}")
        ax.tick_params(axis="x", rotation=20)
    axes[0].invert_yaxis()
    return axes


def plot_stroke_scores(table: pd.DataFrame) -> Axes:
    """Draw the table of ``benchmark strokes``: errors over the pen's width, of each network."""
    _, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    pens = table.dropna(subset="pen")
    styles = {"as drawn": "--", "MNIST's width": "-"}
    for (network, strokes), rows in pens.groupby(["network", "strokes"], sort=False):
        colour = BLUE if network == "shipped" else ORANGE
        label = f"{network}, {strokes}"
        ax.plot(rows["pen"], rows["errors"], f"o{styles[strokes]}", color=colour, label=label)
    ax.set(xscale="log", xlabel="width of the pen, of the sheet's side", ylabel="errors")
    ax.set_ylim(bottom=0)
    widths = pens["pen"].unique()
    ax.set_xticks(widths, [f"{100 * width:g}%" for width in widths])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(fontsize=8, frameon=False)
    return ax


def plot_confidence_scores(
    table: pd.DataFrame, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Draw the table of ``benchmark confidence``, and risk over coverage for each set of digits.

    `curves` holds, by name, the confidences and which readings were correct.
    """
    _, axes = plt.subplots(1, 2, figsize=(12, 4.5), width_ratios=(3, 2), layout="constrained")
    digits = table["accuracy"].notna()
    errors = (table["flagged"] - table["low"], table["high"] - table["flagged"])
    colours = [ORANGE if is_digit else BLUE for is_digit in digits]
    places = range(len(table))
    bars = axes[0].barh(places, table["flagged"], xerr=errors, color=colours, capsize=2)
    axes[0].set_yticks(places, table["what"], parse_math=False)
    axes[0].bar_label(bars, [f"{share:.1%}" for share in table["flagged"]], padding=3, fontsize=8)
    axes[0].set(xlabel="share flagged as uncertain (orange: digits)", xlim=(0, 1.12))
    axes[0].xaxis.set_major_formatter("{x:.0%}")
    axes[0].invert_yaxis()
    for name, (confidence, correct) in curves.items():
        order = np.argsort(-confidence, kind="stable")
        coverage = np.arange(1, len(order) + 1) / len(order)
        risk = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
        axes[1].plot(coverage, risk, label=f"{name} ({len(order):,})", lw=1.5)
    axes[1].set(xlabel="share of the images that are predicted", ylabel="errors among these")
    axes[1].set_xlim(0.7, 1.005)
    axes[1].xaxis.set_major_formatter("{x:.0%}")
    axes[1].yaxis.set_major_formatter("{x:.1%}")
    for text in axes[1].legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    return axes
