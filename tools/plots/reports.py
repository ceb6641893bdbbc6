"""Reads the reports of `blockserve bench serve` and `bench engine` for plots."""

import dataclasses
import json
import pathlib


@dataclasses.dataclass(frozen=True)
class Point:
    """One report of bench serve, as a point of a curve."""

    load: float  # requests at once, or a second
    throughput: float  # output tokens a second
    latency: dict  # {"p50_ttft_ms": ..}


def read_report(path):
    report = json.loads(pathlib.Path(path).read_text())
    if not isinstance(report, dict):
        raise ValueError(f"{path}: expected an object")
    return report


def split_series(arguments):
    """["a=1.json", "2.json", "b=3.json"] -> {"a": ["1.json", "2.json"], "b": ..}:
    a name belongs to the files up to the next."""
    series = {}
    name = ""
    for argument in arguments:
        before, equals, path = argument.partition("=")
        if equals:
            name = before
        series.setdefault(name, []).append(path if equals else argument)
    return series


def read_curve(paths):
    """The points of one curve, by load. All must be of one loop."""
    points = []
    loops = set()
    for path in paths:
        report = read_report(path)
        if "output_throughput" not in report:
            raise ValueError(f"{path}: expected a report of `blockserve bench serve`")
        closed = report.get("max_concurrency") is not None
        loops.add("max_concurrency" if closed else "request_rate")
        load = report["max_concurrency" if closed else "request_rate"]
        latency = {key: value for key, value in report.items() if key.endswith("_ms")}
        points.append(Point(load, report["output_throughput"], latency))
    if len(loops) > 1:
        raise ValueError("expected reports of one loop, got closed and open ones")
    return loops.pop(), sorted(points, key=lambda point: point.load)


def read_throughput(path):
    """Tokens a second of either kind of report."""
    report = read_report(path)
    for key in ("tokens_per_second", "output_throughput"):
        if key in report:
            return report[key]
    raise ValueError(f"{path}: expected a report of `blockserve bench`")


def parse_bar(argument):
    """"decode-heavy=vanilla.json,block.json" -> ("decode-heavy", path, path)."""
    label, equals, paths = argument.partition("=")
    pair = paths.split(",")
    if not equals or len(pair) != 2:
        raise ValueError(f"{argument}: expected LABEL=VANILLA.json,BLOCK.json")
    return label, pair[0], pair[1]
