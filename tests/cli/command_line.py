"""How tests run the command line, and servers that it starts."""

import contextlib
import os
import pathlib
import subprocess
import time

BLOCKSERVE = os.environ["BLOCKSERVE_BINARY"]
MODELS = pathlib.Path(os.environ["BLOCKSERVE_MODELS"])
DEMO = MODELS / "demo-block"

# What a killed server could not remove goes with the test's own files.
os.environ["TMPDIR"] = os.environ["TEST_TMPDIR"]

EXIT_BAD_INPUT = 2
EXIT_PORT_IN_USE = 3


def run(*arguments, text=None, timeout=120):
    """Runs blockserve; returns the finished process."""
    return subprocess.run(
        [BLOCKSERVE, *map(str, arguments)],
        input=text, capture_output=True, text=True, timeout=timeout, check=False,
    )


def children_of(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()]


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


@contextlib.contextmanager
def serving(*arguments, stderr=subprocess.DEVNULL):
    """A running `blockserve serve`; yields (process, ready line's fields), of
    which worker_metrics is a list: of every rank, group by group."""
    process = subprocess.Popen(
        [BLOCKSERVE, "serve", f"--model={DEMO}", "--host=127.0.0.1", "--port=0",
         "--metrics_port=0", *arguments],
        stdout=subprocess.PIPE, stderr=stderr, text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), line
        fields = [field.split("=", 1) for field in line.split()[1:]]
        ready = dict(fields)
        ready["worker_metrics"] = [
            value for key, value in fields if key == "worker_metrics"
        ]
        yield process, ready
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
