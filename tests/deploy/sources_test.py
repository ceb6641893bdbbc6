"""Series that one quiet group does not show are in the source, unless the
contract says that they are still to come."""

import pathlib
import re
import tempfile
import unittest

import binaries

ROOT = pathlib.Path("WORKSPACE").resolve().parent
FOLDERS = ("parallel", "router", "runtime")


def series_in(root):
    """Names of series in files that make metrics, with their prefix. Elsewhere
    the same words are keys of log lines."""
    found = set()
    for folder in FOLDERS:
        for path in (root / folder).rglob("*metrics*.cc"):
            if not path.name.endswith("_test.cc"):
                literals = re.findall(r'"([a-z][a-z0-9_]+)"', path.read_text())
                found |= {
                    "blockserve_" + name.removeprefix("blockserve_")
                    for name in literals
                }
    return found


def errors(contract, found):
    ahead = set(contract["series_ahead"])
    result = [f"{s} is ahead, but not declared"
              for s in ahead - set(contract["declared_series"])]
    for series in contract["declared_series"]:
        if series in found and series in ahead:
            result.append(f"{series} is there: take it out of series_ahead")
        if series not in found and series not in ahead:
            result.append(f"no file of metrics has {series}")
    return result


class SourcesTest(unittest.TestCase):
    def test_declared_series_are_in_the_source_or_awaited(self):
        found = series_in(ROOT)
        self.assertIn("blockserve_num_requests_running", found)
        self.assertIn("blockserve_router_retries_total", found)
        self.assertEqual(errors(binaries.CONTRACT, found), [])

    def test_planted_errors_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "runtime", "a_metrics.cc")
            source.parent.mkdir()
            source.write_text('MakeGauge("rank_up", "blockserve_b_total");')
            found = series_in(pathlib.Path(folder))
        self.assertEqual(found, {"blockserve_rank_up", "blockserve_b_total"})
        for declared, ahead, named in (
            ("blockserve_rank_up", ["blockserve_rank_up"], "take it out"),
            ("blockserve_rank_down", [], "no file of metrics"),
            ("blockserve_rank_up", ["blockserve_c"], "not declared"),
        ):
            contract = {"declared_series": {declared: {}}, "series_ahead": ahead}
            self.assertIn(named, errors(contract, found)[0])
        good = {"declared_series": {"blockserve_rank_up": {}},
                "series_ahead": []}
        self.assertEqual(errors(good, found), [])


if __name__ == "__main__":
    unittest.main()
