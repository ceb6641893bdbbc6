"""`blockserve bench`: that it measures and reports; never how fast it is."""

import json
import pathlib
import tempfile
import unittest

from command_line import DEMO, EXIT_BAD_INPUT, run

TINY = ["--prefill=18", "--decode=10", "--repeat=2", "--threads=1", "--bandwidth_bytes=16MiB"]
RANDOM = "--random=block_main_b4_5"
KEYS = [
    "tokens_per_second", "decode_tokens_per_second", "roofline_share", "gemm_peak_flops",
    "read_bandwidth_bytes_per_second", "flop_per_token", "bytes_per_token",
]


def bench_engine(*arguments):
    """Runs `bench engine` on a tiny batch; returns (stdout, JSON report)."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "report.json"
        result = run("bench", "engine", *TINY, f"--json={file}", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout, json.loads(file.read_text())


class BenchEngineTest(unittest.TestCase):
    def test_reports_speed_peaks_and_phases_of_random_weights(self):
        table, report = bench_engine(RANDOM, "--batch=3", "--label=abc1234")
        for key in KEYS:
            self.assertGreater(report[key], 0, key)
        self.assertEqual(report["model"], "block_main_b4_5")
        self.assertEqual((report["prefill"], report["decode"], report["batch"]), (18, 10, 3))
        self.assertEqual(report["label"], "abc1234")
        self.assertEqual(report["machine"]["threads"], 1)
        self.assertIn("--random=block_main_b4_5 --prefill=18 --decode=10 --batch=3",
                      report["command"])
        for pool in ("weights", "kv_cache", "scratch"):
            self.assertGreater(report["memory"][pool], 0, pool)
        self.assertGreater(report["memory"]["resident"], report["memory"]["weights"])
        self.assertIn("other_processes_cpu_share", report)
        for line in ("tokens/s", "roofline share", "head_and_sampling"):
            self.assertIn(line, table)

    def test_phases_add_up(self):
        _, report = bench_engine(RANDOM, "--batch=2")
        phases = report["phases"]
        self.assertEqual(
            set(phases),
            {"embed", "block_decoder_gemm", "block_decoder_attention", "block_decoder_rest",
             "token_decoder_gemm", "token_decoder_attention", "token_decoder_rest",
             "head_and_sampling", "scheduling"},
        )
        self.assertAlmostEqual(sum(p["share"] for p in phases.values()), 1, places=6)
        for name, phase in phases.items():
            self.assertGreater(phase["seconds"], 0, name)

    def test_ranks_share_the_model(self):
        _, report = bench_engine(RANDOM, "--batch=2", "--ranks=2")
        self.assertEqual(report["machine"]["ranks"], 2)
        self.assertGreater(report["phases"]["collectives"]["seconds"], 0)

    def test_a_vanilla_model_has_no_token_decoder(self):
        _, report = bench_engine("--random=vanilla_31", "--batch=2", "--dtype=fp32")
        self.assertEqual(report["dtype"], "fp32")
        self.assertEqual(report["phases"]["token_decoder_gemm"]["seconds"], 0)
        self.assertGreater(report["phases"]["block_decoder_gemm"]["seconds"], 0)

    def test_runs_a_checkpoint_at_the_largest_batch_that_fits(self):
        _, report = bench_engine(f"--model={DEMO}", "--batch=auto", "--memory_limit=24MiB",
                                 "--phases=off")
        self.assertFalse(report["random_weights"])
        self.assertGreater(report["batch"], 1)
        memory = report["memory"]
        used = memory["weights"] + memory["kv_cache"] + memory["scratch"]
        self.assertLessEqual(used, 24 << 20)
        self.assertIsNone(report["phases"])


class BenchFlagsTest(unittest.TestCase):
    def test_has_help(self):
        for arguments in (["bench", "--help"], ["bench", "engine", "--help"]):
            result = run(*arguments)
            self.assertEqual(result.returncode, 0)
            self.assertIn("engine", result.stdout)

    def test_bad_values_are_named_with_what_was_expected(self):
        for arguments, *words in (
            ([], "--model", "--random"),
            (["--random=b4_85"], "block_main_b4_85", '"b4_85"'),
            (["--model=/nonexistent"], "/nonexistent"),
            ([RANDOM, f"--model={DEMO}"], "--random", "--model"),
            ([RANDOM, "--batch=many"], "--batch", "auto", '"many"'),
            ([RANDOM, "--batch=0"], "--batch"),
            ([RANDOM, "--decode=0"], "--decode"),
            ([RANDOM, "--repeat=0"], "--repeat"),
            ([RANDOM, "--dtype=int3"], "--dtype"),
            ([RANDOM, "--phases=maybe"], "--phases"),
            ([RANDOM, "--json=/nonexistent/report.json"], "--json"),
            ([RANDOM, "--memory_limit=80MiB", "--dtype=bf16"], "--batch", "83886080"),
            ([RANDOM, "--memory_limit=20MiB", "--batch=auto"], "20971520"),
            ([RANDOM, "--backend=cuda"], "cuda"),
            (["--nope"], "--nope"),
        ):
            with self.subTest(arguments):
                result = run("bench", "engine", *arguments)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT, result.stderr)
                for word in words:
                    self.assertIn(word, result.stderr)
        self.assertEqual(run("bench").returncode, EXIT_BAD_INPUT)


if __name__ == "__main__":
    unittest.main()
