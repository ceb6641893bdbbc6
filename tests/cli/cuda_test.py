"""`blockserve ... --backend=cuda`, built with the backend: what it says on a
machine without a GPU."""

import os
import subprocess
import unittest

import junit
from command_line import DEMO, EXIT_BAD_INPUT, run


def has_gpu():
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@unittest.skipIf(has_gpu(), "there is a GPU")
class NoDeviceTest(unittest.TestCase):
    def assert_refused(self, *arguments):
        result = run(*arguments, "--backend=cuda")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT, result.stderr)
        self.assertIn("CUDA: looking for devices: ", result.stderr)

    def test_benchmarks_are_refused(self):
        self.assert_refused("bench", "engine", "--random=block_main_b4_5", "--batch=1")

    def test_golden_vectors_are_refused(self):
        self.assert_refused(
            "golden", f"--case={os.environ['BLOCKSERVE_GOLDEN']}/k_vanilla")

    def test_servers_are_refused_in_the_words_of_their_worker(self):
        result = run("serve", f"--model={DEMO}", "--host=127.0.0.1", "--port=0",
                     "--metrics_port=0", "--backend=cuda")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("blockserve_worker_cuda: CUDA: looking for devices: ", result.stderr)


class CpuTest(unittest.TestCase):
    def test_the_other_backends_need_no_device(self):
        result = run("generate", f"--model={DEMO}", "--prompt=Once upon", "--max_tokens=4",
                     "--threads=1")
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    junit.main()
