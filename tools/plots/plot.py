#!/usr/bin/env python3
"""Draws benchmark reports as OUT.png and OUT.svg. Needs matplotlib.

Throughput and latency over load, a curve for each name:
  plot.py curves --out=OUT [--latency=p99_ttft_ms ..] one=1.json 2.json two=3.json
Vanilla versus block, a pair of bars for each label:
  plot.py bars --out=OUT decode-heavy=vanilla.json,block.json ..
"""

import argparse
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import NullFormatter, ScalarFormatter  # noqa: E402

import reports  # noqa: E402

LOAD_LABELS = {
    "max_concurrency": "requests at once",
    "request_rate": "requests per second",
}
VANILLA_COLOR = "#9aa5b1"
BLOCK_COLOR = "#1f6feb"
# The same reports give the same files.
matplotlib.rcParams["svg.hashsalt"] = "blockserve"


def save(figure, out):
    figure.tight_layout()
    figure.savefig(f"{out}.png", dpi=150)
    figure.savefig(f"{out}.svg", metadata={"Date": None})
    plt.close(figure)


def write_numbers(axis, minor):
    """5 and 0.5 on a logarithmic axis, not powers."""
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(formatter if minor else NullFormatter())


def draw_curves(series, latencies, title, out):
    figure, axes = plt.subplots(1, 1 + len(latencies), squeeze=False,
                                figsize=(5 * (1 + len(latencies)), 4))
    loads = set()
    for name, paths in series.items():
        load, points = reports.read_curve(paths)
        loads.add(load)
        xs = [point.load for point in points]
        axes[0][0].plot(xs, [point.throughput for point in points], marker="o", label=name)
        for axis, latency in zip(axes[0][1:], latencies):
            if latency not in points[0].latency:
                raise ValueError(f"--latency={latency}: expected a key of the reports")
            axis.plot(xs, [point.latency[latency] for point in points], marker="o", label=name)
    if len(loads) > 1:
        raise ValueError("expected curves of one loop, got closed and open ones")
    axes[0][0].set_ylabel("output tokens per second")
    for axis, latency in zip(axes[0][1:], latencies):
        axis.set_ylabel(latency.removesuffix("_ms").replace("_", " ") + ", ms")
        axis.set_yscale("log", subs=[2, 5])
        write_numbers(axis.yaxis, minor=True)
    for axis in axes[0]:
        axis.set_xlabel(LOAD_LABELS[loads.copy().pop()])
        if loads == {"max_concurrency"}:
            axis.set_xscale("log", base=2)
            write_numbers(axis.xaxis, minor=False)
        axis.grid(alpha=0.3)
        if any(series):
            axis.legend()
    axes[0][0].set_ylim(bottom=0)
    figure.suptitle(title)
    save(figure, out)


def draw_bars(pairs, title, out):
    figure, axis = plt.subplots(figsize=(2 + 2 * len(pairs), 4))
    width = 0.38
    for index, (_, vanilla_path, block_path) in enumerate(pairs):
        vanilla = reports.read_throughput(vanilla_path)
        block = reports.read_throughput(block_path)
        first = index == 0
        axis.bar(index - width / 2, vanilla, width, color=VANILLA_COLOR,
                 label="vanilla" if first else None)
        bar = axis.bar(index + width / 2, block, width, color=BLOCK_COLOR,
                       label="block" if first else None)
        axis.bar_label(bar, [f"{block / vanilla:.1f}x"])
    axis.set_xticks(range(len(pairs)), [label for label, _, _ in pairs])
    axis.set_ylabel("tokens per second")
    axis.grid(axis="y", alpha=0.3)
    axis.margins(y=0.12)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axis.set_title(title)
    save(figure, out)


def main(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    curves = commands.add_parser("curves")
    curves.add_argument("--latency", nargs="+", default=["p99_ttft_ms", "p99_itl_ms"])
    curves.add_argument("reports", nargs="+", metavar="[NAME=]REPORT.json")
    bars = commands.add_parser("bars")
    bars.add_argument("pairs", nargs="+", metavar="LABEL=VANILLA.json,BLOCK.json")
    for command in (curves, bars):
        command.add_argument("--out", required=True, help="without .png and .svg")
        command.add_argument("--title", default="")
    flags = parser.parse_args(arguments)
    try:
        if flags.command == "curves":
            series = reports.split_series(flags.reports)
            draw_curves(series, flags.latency, flags.title, flags.out)
        else:
            draw_bars([reports.parse_bar(pair) for pair in flags.pairs], flags.title, flags.out)
    except (OSError, ValueError) as error:
        parser.exit(2, f"plot.py: {error}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
