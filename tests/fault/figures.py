"""Figures that a test measures: kept, printed and written as its outputs."""

import json
import os
import pathlib
import statistics


class Figures:
    """Values by row and column, such as seconds by fault and event."""

    def __init__(self, title):
        self._title = title
        self._rows = {}

    def add(self, row, **values):
        for column, value in values.items():
            self._rows.setdefault(row, {}).setdefault(column, []).append(value)

    def markdown(self):
        columns = list(dict.fromkeys(
            column for row in self._rows.values() for column in row
        ))
        lines = [
            "| | repeats | " + " | ".join(columns) + " |",
            "| --- " * (len(columns) + 2) + "|",
        ]
        for name, row in self._rows.items():
            cells = []
            for column in columns:
                values = row.get(column)
                cells.append("" if not values else " / ".join(
                    f"{value:.4g}" for value in
                    (min(values), statistics.median(values), max(values))
                ))
            repeats = max(len(values) for values in row.values())
            lines.append(f"| {name} | {repeats} | " + " | ".join(cells) + " |")
        return "\n".join([f"{self._title} (min / median / max)", "", *lines])

    def write(self, name):
        """Prints the table and writes it to the test's outputs, if any."""
        print(f"\n{self.markdown()}\n", flush=True)
        directory = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
        if directory:
            base = pathlib.Path(directory, name)
            base.with_suffix(".md").write_text(self.markdown() + "\n")
            base.with_suffix(".json").write_text(
                json.dumps(self._rows, indent=1) + "\n"
            )
