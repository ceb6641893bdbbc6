"""Structure of a Grafana dashboard in classic JSON."""

import json
import re

import manifests

DASHBOARD = manifests.DEPLOY / "grafana" / "blockserve.json"
DATASOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
ROWS = ["Traffic", "Latency", "Scheduler and KV cache", "Ranks and groups"]
UNITS = {"Bps", "cps", "percentunit", "reqps", "s", "short"}
BUILT_IN = {"__rate_interval": "1m"}


def load():
    return json.loads(DASHBOARD.read_text())


def expressions(board):
    """(where, PromQL) with variables replaced; an unknown one stays."""
    values = {v["name"]: "x" for v in board["templating"]["list"]} | BUILT_IN
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], re.sub(
                r"\$(\w+)",
                lambda match: values.get(match[1], match[0]),
                target["expr"],
            )


def variable_queries(board):
    """(selector, label) of each variable's label_values()."""
    for variable in board["templating"]["list"]:
        match = re.fullmatch(
            r"label_values\((.*), (\w+)\)", variable["query"]["query"]
        )
        yield re.sub(r"\$(\w+)", "x", match[1]), match[2]


def structure_errors(board):
    errors = []
    if board["schemaVersion"] != 39 or board["id"] is not None:
        errors.append("schemaVersion must be 39 and id null")
    if not board["uid"]:
        errors.append("no uid")
    inputs = [f"${{{entry['name']}}}" for entry in board["__inputs"]]
    if inputs != [DATASOURCE["uid"]]:
        errors.append(f"inputs are {inputs}")
    rows = [p["title"] for p in board["panels"] if p["type"] == "row"]
    if rows != ROWS:
        errors.append(f"rows are {rows}")
    ids = [panel["id"] for panel in board["panels"]]
    if len(set(ids)) != len(ids):
        errors.append("two panels with one id")
    taken = {}
    for panel in board["panels"]:
        title, place = panel["title"], panel["gridPos"]
        if place["x"] + place["w"] > 24:
            errors.append(f"{title}: wider than the grid")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), title)
                if other != title:
                    errors.append(f"{title} lies on {other}")
        if panel["type"] != "row":
            errors += _panel_errors(panel)
    return errors


def _panel_errors(panel):
    errors = []
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if unit not in UNITS:
        errors.append(f"{panel['title']}: unit {unit}")
    targets = panel["targets"]
    letters = [target["refId"] for target in targets]
    if not targets or len(set(letters)) != len(letters):
        errors.append(f"{panel['title']}: targets {letters}")
    for source in [panel["datasource"], *(t["datasource"] for t in targets)]:
        if source != DATASOURCE:
            errors.append(f"{panel['title']}: data source {source}")
    return errors
