"""Series: those of processes, and those that dashboards name."""

import re
import urllib.request

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

# What Prometheus itself puts on a series when it scrapes; see the relabelling
# in deploy/prometheus.
TARGET_LABELS = {"group", "instance", "job", "namespace", "pod"}
SUFFIXES = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def exposition(server):
    """The text of /metrics."""
    url = f"http://127.0.0.1:{server.ports['metrics_port']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def series_of(text):
    """{name: label names} of an exposition. Refuses what Prometheus' own
    linter would: no help, odd names, counters without _total."""
    found = {}
    for family in text_string_to_metric_families(text):
        # The parser keeps a counter's name without its _total.
        name = family.name + "_total" * (family.type == "counter")
        if not family.documentation:
            raise ValueError(f"{name} has no HELP")
        if family.type not in SUFFIXES:
            raise ValueError(f"{name} is of type {family.type}")
        if f"\n# TYPE {name} {family.type}\n" not in "\n" + text:
            raise ValueError(f"counter {family.name} does not end in _total")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{name} is not in small letters and _")
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def declared(contract):
    """The contract's declared series in the form of series_of."""
    found = {}
    for name, what in contract["declared_series"].items():
        for suffix in SUFFIXES[what["type"]]:
            le = {"le"} if suffix == "_bucket" else set()
            found[name + suffix] = set(what["labels"]) | le
    return found


def selectors(expression):
    """(name, labels) of each series that a PromQL expression reads, where
    labels are those of its matchers and of all aggregations around it."""
    found, grouping = [], set()

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            labels = {m.name for m in node.matchers.matchers}
            found.append((node.name, labels))
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            grouping.update(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return [(name, labels | grouping) for name, labels in found]


def expression_errors(expression, series):
    """What is wrong with a PromQL expression over `series`."""
    try:
        read = selectors(expression)
    except ValueError as error:
        return [f"{expression}: {error}"]
    errors = [] if read else [f"{expression}: reads nothing"]
    for name, labels in read:
        if name not in series:
            errors.append(f"{expression}: no series {name}")
            continue
        unknown = labels - series[name] - TARGET_LABELS
        if unknown:
            errors.append(f"{expression}: {name} has no label {unknown}")
    return errors
