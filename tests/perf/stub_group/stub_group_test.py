"""The rig of router-only benchmarks: what a stub group writes comes through a
router whole, and the same without one. Nothing here is timed."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

BLOCKSERVE = os.environ["BLOCKSERVE_BINARY"]
ROUTER = os.environ["BLOCKSERVE_ROUTER"]
STUB = os.environ["STUB_GROUP"]

NUM_REQUESTS = 40
MAX_TOKENS = 26


@contextlib.contextmanager
def running(binary, directory, *flags):
    """A server that writes its port to a file; yields HOST:PORT."""
    ports = pathlib.Path(directory) / (os.path.basename(binary) + ".ports")
    process = subprocess.Popen([binary, "--port=0", f"--port_file={ports}", *flags])
    try:
        deadline = time.monotonic() + 30
        while not ports.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{binary} did not start")
            time.sleep(0.02)
        port = dict(line.split("=") for line in ports.read_text().split())["port"]
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


class StubGroupTest(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())

    def check(self, server):
        path = pathlib.Path(self.directory) / "report.json"
        result = subprocess.run(
            [BLOCKSERVE, "bench", "serve", f"--server={server}", "--concurrency=16",
             "--prompt_tokens=5", f"--max_tokens={MAX_TOKENS}",
             f"--num_requests={NUM_REQUESTS}", f"--json={path}"],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(path.read_text())
        self.assertEqual(report["failures"], {})
        self.assertEqual(report["completed"], NUM_REQUESTS)
        self.assertEqual(report["total_output_tokens"], NUM_REQUESTS * MAX_TOKENS)
        self.assertEqual(report["model_id"], "stub")

    def test_through_a_router(self):
        for step_time in ("0", "1ms"):
            with (self.subTest(step_time),
                  running(STUB, self.directory, f"--step_time={step_time}") as stub,
                  running(ROUTER, self.directory, "--host=127.0.0.1", "--metrics_port=0",
                          f"--workers={stub}") as router):
                self.wait_for_model(router)
                self.check(router)
            for ports in pathlib.Path(self.directory).glob("*.ports"):
                ports.unlink()

    def test_without_a_router(self):
        with running(STUB, self.directory) as stub:
            self.check(stub)

    def wait_for_model(self, router):
        """A router serves before it knows its workers."""
        deadline = time.monotonic() + 30
        arguments = [BLOCKSERVE, "generate", f"--server={router}", "--prompt_ids=1",
                     "--max_tokens=1"]
        while subprocess.run(arguments, capture_output=True, check=False).returncode != 0:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
