"""Reports become the points and bars that are drawn."""

import json
import pathlib
import tempfile
import unittest

import reports


class ReportsTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, name, **report):
        path = self.directory / name
        path.write_text(json.dumps(report))
        return str(path)

    def serving(self, name, concurrency=None, rate=None, throughput=1.0):
        return self.write(name, max_concurrency=concurrency, request_rate=rate,
                          output_throughput=throughput, p99_ttft_ms=7.5, completed=3)

    def test_a_name_belongs_to_the_files_up_to_the_next(self):
        self.assertEqual(reports.split_series(["a=1", "2", "b=3", "4"]),
                         {"a": ["1", "2"], "b": ["3", "4"]})
        self.assertEqual(reports.split_series(["1", "2"]), {"": ["1", "2"]})

    def test_points_are_in_order_of_load(self):
        paths = [self.serving("8", concurrency=8, throughput=70),
                 self.serving("1", concurrency=1, throughput=10)]
        load, points = reports.read_curve(paths)
        self.assertEqual(load, "max_concurrency")
        self.assertEqual([(p.load, p.throughput) for p in points], [(1, 10), (8, 70)])
        self.assertEqual(points[0].latency, {"p99_ttft_ms": 7.5})

    def test_open_loops_are_over_the_rate(self):
        load, points = reports.read_curve([self.serving("r", rate=2.5)])
        self.assertEqual((load, points[0].load), ("request_rate", 2.5))

    def test_other_files_and_mixed_loops_are_refused(self):
        with self.assertRaisesRegex(ValueError, "bench serve"):
            reports.read_curve([self.write("x", tokens_per_second=3)])
        with self.assertRaisesRegex(ValueError, "one loop"):
            reports.read_curve([self.serving("c", concurrency=1), self.serving("o", rate=1)])
        with self.assertRaisesRegex(ValueError, "bench"):
            reports.read_throughput(self.write("y", other=1))

    def test_bars_take_either_report(self):
        self.assertEqual(reports.read_throughput(self.write("e", tokens_per_second=5)), 5)
        self.assertEqual(reports.read_throughput(self.serving("s", rate=1, throughput=6)), 6)
        self.assertEqual(reports.parse_bar("decode=a.json,b.json"),
                         ("decode", "a.json", "b.json"))
        for wrong in ("decode", "decode=a.json", "decode=a,b,c"):
            with self.assertRaisesRegex(ValueError, "LABEL="):
                reports.parse_bar(wrong)


if __name__ == "__main__":
    unittest.main()
