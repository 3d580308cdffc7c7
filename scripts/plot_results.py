#!/usr/bin/env python3
"""Redraw a figure from the results of a run: messages per second against the number of nodes.

    python3 -m venv venv && venv/bin/pip install pandas matplotlib
    venv/bin/python scripts/plot_results.py results/network-load -o network-load.png

What the columns mean is in results/README.md.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # Draws into files, without a display.
import matplotlib.pyplot as plt
import pandas as pd

# Colours that colour-blind people can tell apart: Okabe and Ito, "Color universal design", 2008.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def message_rates(folder: Path) -> pd.DataFrame:
    """Messages sent per second: a row for each number of nodes, a column for each approach, in the order of the run."""
    messages = pd.read_csv(folder / "messages.csv")
    sent = messages[messages["direction"] == "sent"]
    rates = sent.groupby(["nodes", "approach"], sort=False)["messages_per_s"].sum()
    return rates.unstack("approach").sort_index()


def draw(rates: pd.DataFrame, title: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for index, approach in enumerate(rates.columns):
        line = rates[approach].dropna()
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.plot(line.index, line, label=approach, **style)
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel="messages sent (1/s)", title=title)
    axes.grid(which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the results, with messages.csv")
    parser.add_argument("-o", "--output", type=Path, default=Path("network-load.png"), help="PNG, SVG or PDF")
    arguments = parser.parse_args()
    rates = message_rates(arguments.folder)
    draw(rates, f"Message rate of {arguments.folder.resolve().name}", arguments.output)
    print(rates.to_string(float_format=lambda rate: f"{rate:,.1f}"))


if __name__ == "__main__":
    main()
