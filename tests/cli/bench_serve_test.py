"""`blockserve bench serve` against a router and a worker of the demo model: what
its reports count. Nothing here depends on how fast anything was."""

import json
import os
import pathlib
import tempfile
import unittest

from command_line import EXIT_BAD_INPUT, run, serving

NUM_REQUESTS = 12
PROMPT_TOKENS = 19
MAX_TOKENS = 30
SHAPE = (f"--prompt_tokens={PROMPT_TOKENS}", f"--max_tokens={MAX_TOKENS}",
         f"--num_requests={NUM_REQUESTS}")
VLLM_KEYS = {
    "date", "model_id", "num_prompts", "request_rate", "burstiness", "max_concurrency",
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens",
    "request_throughput", "request_goodput", "output_throughput", "total_token_throughput",
    *(f"{statistic}_{name}_ms"
      for statistic in ("mean", "median", "std", "p50", "p90", "p95", "p99")
      for name in ("ttft", "tpot", "itl", "e2el")),
}


def bench(*arguments):
    return run("bench", "serve", *arguments)


class BenchServeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(serving())[1]["api"]

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.directory = pathlib.Path(directory)

    def measure(self, *arguments, servers=None):
        path = self.directory / "report.json"
        result = bench(*SHAPE, f"--json={path}", *arguments,
                       "--server", *(servers or [self.server]))
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(path.read_text()), result.stdout

    def check_counts(self, report, num_requests=NUM_REQUESTS):
        self.assertEqual(report["failures"], {})
        self.assertEqual(report["completed"], num_requests)
        self.assertEqual(report["failed"], 0)
        self.assertEqual(report["total_input_tokens"], num_requests * PROMPT_TOKENS)
        self.assertEqual(report["total_output_tokens"], num_requests * MAX_TOKENS)
        for name in ("ttft", "tpot", "itl", "e2el"):
            percentiles = [report[f"p{p}_{name}_ms"] for p in (50, 90, 95, 99)]
            self.assertEqual(percentiles, sorted(percentiles))
            self.assertGreater(percentiles[0], 0)
        self.assertGreater(report["mean_e2el_ms"], report["mean_ttft_ms"])
        self.assertAlmostEqual(
            report["output_throughput"] * report["duration"],
            report["total_output_tokens"], places=3)

    def test_closed_loop(self):
        report, table = self.measure("--concurrency=4", "--warmup=3", "--label=here")
        self.assertLessEqual(VLLM_KEYS, report.keys())
        self.check_counts(report)
        self.assertEqual(report["max_concurrency"], 4)
        self.assertIsNone(report["request_rate"])
        self.assertEqual(report["environment"]["model"]["block_length"], 4)
        client, = report["environment"]["clients"]
        self.assertEqual(client["label"], "here")
        self.assertIn("--concurrency=4", client["command"])
        self.assertGreater(report["client_cpu_seconds"], 0)
        self.assertIn("TTFT", table)
        # Blocks of four, the last of two, unless some were joined on the way.
        self.assertLessEqual(report["tokens_per_chunk"], MAX_TOKENS)
        self.assertGreaterEqual(report["tokens_per_chunk"], MAX_TOKENS / 8)

    def test_open_loop(self):
        report, _ = self.measure("--rate=200", "--burstiness=0.5")
        self.check_counts(report)
        self.assertEqual(report["request_rate"], 200)
        self.assertEqual(report["burstiness"], 0.5)
        self.assertIsNone(report["max_concurrency"])

    def test_servers_take_turns(self):
        report, _ = self.measure("--concurrency=2", servers=[self.server, self.server])
        self.check_counts(report)
        self.assertEqual(report["environment"]["clients"][0]["servers"], [self.server] * 2)

    def test_clients_are_merged_into_one_report(self):
        saved = [self.directory / f"client{seed}.json" for seed in range(2)]
        for seed, path in enumerate(saved):
            self.measure("--concurrency=2", f"--seed={seed}", f"--save_samples={path}")
        merged = self.directory / "merged.json"
        result = bench("--merge", *saved, f"--json={merged}")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(merged.read_text())
        self.assertLessEqual(VLLM_KEYS, report.keys())
        self.check_counts(report, 2 * NUM_REQUESTS)
        self.assertEqual(report["max_concurrency"], 4)
        self.assertEqual([c["seed"] for c in report["environment"]["clients"]], [0, 1])

    def test_failures_are_counted_by_code(self):
        path = self.directory / "report.json"
        result = bench(*SHAPE, "--concurrency=4", "--timeout=0.001", f"--json={path}",
                       f"--server={self.server}")
        report = json.loads(path.read_text())
        self.assertEqual(report["failed"], report["failures"]["DEADLINE_EXCEEDED"])
        self.assertEqual(report["completed"] + report["failed"], NUM_REQUESTS)
        self.assertEqual(result.returncode, 0 if report["completed"] else 1)

    def test_requests_longer_than_the_context_are_refused_before_any_is_sent(self):
        result = bench(f"--server={self.server}", "--concurrency=1", "--max_tokens=1000000")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)
        self.assertIn("--prompt_tokens + --max_tokens must be at most", result.stderr)


class BenchServeErrorsTest(unittest.TestCase):
    def test_no_server(self):
        result = bench("--server=127.0.0.1:1", "--concurrency=1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("127.0.0.1:1", result.stderr)
        self.assertIn("(UNAVAILABLE)", result.stderr)

    def test_wrong_flags_are_named(self):
        server = "--server=127.0.0.1:1"
        for arguments, words in (
            ([], "--server"),
            ([server], "--concurrency"),
            ([server, "--concurrency=1", "--rate=1"], "--rate"),
            ([server, "--concurrency=0"], "--concurrency"),
            ([server, "--concurrency=1", "--burstiness=2"], "--burstiness"),
            ([server, "--rate=-1"], "--rate"),
            ([server, "--rate=1", "--burstiness=0"], "--burstiness"),
            ([server, "--concurrency=1", "--max_tokens=0"], "--max_tokens"),
            ([server, "--concurrency=1", "--num_requests=x"], "--num_requests"),
            ([server, "--concurrency=1", "--json=/nowhere/x.json"], "--json"),
            ([server, "--merge=x"], "--merge"),
            (["--merge=x", "--save_samples=y"], "--save_samples"),
            ([server, "--concurency=1"], "--concurency"),
        ):
            with self.subTest(arguments):
                result = bench(*arguments)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT, result.stderr)
                self.assertIn(words, result.stderr)

    def test_merge_names_the_file_that_is_not_one_of_ours(self):
        with tempfile.TemporaryDirectory() as directory:
            wrong = os.path.join(directory, "wrong.json")
            with open(wrong, "w", encoding="utf-8") as file:
                file.write('{"duration": 1}')
            for path in (wrong, os.path.join(directory, "none.json")):
                result = bench(f"--merge={path}")
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(path, result.stderr)


if __name__ == "__main__":
    unittest.main()
