"""The comparison over stand-ins for the systems: what it hands them, and what
it makes of figures, failures and silence; never how fast anything is."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(os.environ["BLOCKSERVE_PEERS"])

# A stand-in answers with the rates of its file in turn and keeps its flags.
FAKE = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
flags = folder / "{name}.flags"
runs = flags.read_text().splitlines() if flags.exists() else []
flags.write_text("\\n".join(runs + [" ".join(sys.argv[1:])]))
rate = {rates}[len(runs)]
if rate is None:
    sys.exit("no memory left")
report = json.dumps({{"tokens_per_second": rate, "versions": {{"{name}": "1.2"}},
                      "gemm_peak_flops": 2e12,
                      "read_bandwidth_bytes_per_second": 2e10}})
for flag in sys.argv:
    if flag.startswith("--json="):
        pathlib.Path(flag.removeprefix("--json=")).write_text(report)
print("a line before it")
print(report)
"""


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def fake(self, name, rates):
        path = self.folder / name
        path.write_text(
            FAKE.format(
                python=sys.executable, folder=str(self.folder), name=name, rates=rates
            )
        )
        path.chmod(0o755)
        return path

    def flags_of(self, name):
        return (self.folder / f"{name}.flags").read_text().splitlines()

    def compare(self, *flags, ours):
        result = subprocess.run(
            [
                sys.executable, str(FOLDER / "compare.py"), *flags,
                f"--blockserve={self.fake('ours', ours)}", f"--out={self.folder}",
            ],
            capture_output=True, text=True, timeout=120,
        )
        return result

    def report(self):
        return json.loads((self.folder / "peers.json").read_text())

    def test_ratio_is_of_medians_and_rows_carry_their_goals(self):
        result = self.compare(
            f"--vllm_python={self.fake('vllm', [100, 50, 40])}",
            "--vllm_flags=--no-preload --no-compile",
            "--cases=vanilla_long", "--rounds=3", "--label=abc1234",
            ours=[90, 200, 120],
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        (row,) = self.report()["rows"]
        self.assertEqual(row["ratio"], 120 / 50)
        self.assertEqual(row["goal"], 1.8)
        self.assertEqual(row["runs"], [90, 200, 120])
        self.assertEqual(row["peer_runs"], [100, 50, 40])
        self.assertIn(
            "| vanilla_160 | 128 / 512 | 64 | 120 (90 to 200) | vLLM, CPU build | "
            "50 (40 to 100) | 2.40 | 1.8 |",
            result.stdout,
        )
        for part in ("abc1234", "vllm 1.2", "GEMM 2000 GFLOP/s", "reading 20.0 GB/s",
                     "Not measured, since not set up: authors' PyTorch code"):
            self.assertIn(part, result.stdout)
        self.assertIn("--repeat=1 --no-preload --no-compile", self.flags_of("vllm")[0])

    def test_both_sides_get_the_same_shape(self):
        self.compare(
            f"--authors_python={self.fake('authors', [1])}",
            "--authors_checkout=there", "--cases=block_1.2b", "--rounds=1",
            "--threads=3", ours=[2],
        )
        shape = "--prefill=128 --decode=64 --batch=32"
        (ours,) = self.flags_of("ours")
        (theirs,) = self.flags_of("authors")
        self.assertIn(f"bench engine --random=block_main_b4_1.2b {shape}", ours)
        self.assertIn("--dtype=bf16 --threads=3", ours)
        self.assertIn(f"authors_block.py --model=b4_1.2b {shape} --threads=3", theirs)
        self.assertIn("--checkout=there", theirs)

    def test_a_peer_that_fails_is_said_and_the_rest_goes_on(self):
        result = self.compare(
            f"--vllm_python={self.fake('vllm', [None, None])}",
            f"--hf_python={self.fake('hf', [10, 10])}",
            "--cases=vanilla_64", "--rounds=2", ours=[20, 20],
        )
        self.assertEqual(result.returncode, 1)
        rows = {row["peer"]: row for row in self.report()["rows"]}
        self.assertEqual(rows["hf_vanilla"]["ratio"], 2)
        self.assertIsNone(rows["vllm_vanilla"]["ratio"])
        self.assertEqual(
            rows["vllm_vanilla"]["errors"], ["exit code 1: no memory left"] * 2
        )
        self.assertIn("| vLLM, CPU build | failed | - | - |", result.stdout)

    def test_a_peer_that_hangs_is_ended(self):
        hanging = self.folder / "hanging"
        hanging.write_text("#!/bin/sh\nsleep 1000 &\nwait\n")
        hanging.chmod(0o755)
        result = self.compare(
            f"--hf_python={hanging}", "--cases=vanilla_1", "--rounds=1",
            "--timeout=1", ours=[20],
        )
        self.assertEqual(result.returncode, 1)
        (row,) = self.report()["rows"]
        self.assertEqual(row["errors"], ["no result after 1 s"])

    def test_places_of_the_machine_stay_out_of_the_table(self):
        result = self.compare(
            f"--hf_python={self.fake('hf', [10])}", "--cases=vanilla_1",
            "--rounds=1", ours=[20],
        )
        self.assertNotIn(str(self.folder), result.stdout)
        self.assertIn("--hf_python=HF_PYTHON", result.stdout)

    def test_unknown_cases_are_named(self):
        result = self.compare("--cases=block_2", ours=[1])
        self.assertEqual(result.returncode, 2)
        self.assertIn("block_2", result.stderr)


if __name__ == "__main__":
    unittest.main()
