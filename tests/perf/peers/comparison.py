"""Rates of a comparison as a Markdown table and as JSON."""

import statistics

from cases import PEER_NAMES
from commands import OURS

# Others' share of the machine above which a figure is not the machine's.
BUSY_SHARE = 0.05


class Series:
    """The measurements of one system on one case."""

    def __init__(self, measurements):
        self.rates = [
            m.tokens_per_second
            for m in measurements
            if m.tokens_per_second is not None
        ]
        self.errors = [m.error for m in measurements if m.error]
        self.others_share = max((m.others_share for m in measurements), default=0)
        self.reports = [m.report for m in measurements if m.report]

    def median(self):
        return statistics.median(self.rates) if self.rates else None

    def text(self):
        if not self.rates:
            return "failed"
        if len(self.rates) == 1:
            return f"{self.rates[0]:.0f}"
        return f"{self.median():.0f} ({min(self.rates):.0f} to {max(self.rates):.0f})"


def rows(results):
    """One dict for each (case, peer) of [(case, {system: [Measurement]})]."""
    for case, measurements in results:
        ours = Series(measurements[OURS])
        for peer in measurements:
            if peer == OURS:
                continue
            theirs = Series(measurements[peer])
            ratio = None
            if ours.rates and theirs.rates:
                ratio = ours.median() / theirs.median()
            yield {
                "case": case,
                "peer": peer,
                "ours": ours,
                "theirs": theirs,
                "ratio": ratio,
                "goal": case.goals[peer],
                "others_share": max(ours.others_share, theirs.others_share),
            }


def row_text(row):
    case = row["case"]
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    goal = "-" if row["goal"] is None else f"{row['goal']:g}"
    cells = [
        case.model, f"{case.prefill} / {case.decode}", str(case.batch),
        row["ours"].text(), PEER_NAMES[row["peer"]], row["theirs"].text(),
        ratio, goal, f"{100 * row['others_share']:.0f} %",
    ]
    return "| " + " | ".join(cells) + " |"


def markdown(results, context):
    table = list(rows(results))
    lines = [
        "# BlockServe beside its peers",
        "",
        "New tokens per second, prompts counted in; bf16, random weights, greedy, no early end. Median (least to",
        f"most) of {context['rounds']} round(s); the systems of a row take turns. Ratio: ours over theirs.",
        "",
        f"- Machine: {context['machine']}; {context['threads']} threads.",
    ]
    if context["peaks"]:
        lines.append(f"- Measured by BlockServe in the same run: {context['peaks']}.")
    lines += [
        f"- Date: {context['date']}. BlockServe: {context['label'] or 'no label'}.",
        f"- Versions: {context['versions']}.",
    ]
    if context["skipped"]:
        lines.append(f"- Not measured, since not set up: {context['skipped']}.")
    lines += [
        "",
        "| model | prompt / new | batch | BlockServe | peer | peer's | ratio | goal | others' share of the CPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [row_text(row) for row in table]
    if any(row["others_share"] > BUSY_SHARE for row in table):
        lines += [
            "",
            f"Others took more than {100 * BUSY_SHARE:.0f} % of the cores' time in some rows: those figures are not the machine's.",
        ]
    lines += [f"\n    {context['command']}"]
    return "\n".join(lines) + "\n"


def as_json(results, context):
    return context | {
        "rows": [
            {
                "model": row["case"].model,
                "prefill": row["case"].prefill,
                "decode": row["case"].decode,
                "batch": row["case"].batch,
                "peer": row["peer"],
                "tokens_per_second": row["ours"].median(),
                "runs": row["ours"].rates,
                "peer_tokens_per_second": row["theirs"].median(),
                "peer_runs": row["theirs"].rates,
                "ratio": row["ratio"],
                "goal": row["goal"],
                "others_cpu_share": row["others_share"],
                "errors": row["ours"].errors + row["theirs"].errors,
            }
            for row in rows(results)
        ]
    }
