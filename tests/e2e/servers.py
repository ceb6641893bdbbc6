"""Router and worker processes of a test, on free ports."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

ROUTER = os.environ["BLOCKSERVE_ROUTER"]
WORKER = os.environ["BLOCKSERVE_WORKER"]
MODEL = os.path.join(os.environ["BLOCKSERVE_MODELS"], "demo-block")
TOKENIZER = os.path.join(MODEL, "tokenizer.json")


def wait_until(condition, seconds=30):
    """Waits until `condition()` is true and returns what it was."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen in {seconds} s")
        time.sleep(0.005)


class Server:
    """A process that tells its ports by --port_file. Ends with its test."""

    def __init__(self, binary, *flags, port=0, env=None):
        self.directory = tempfile.TemporaryDirectory()
        self.port_file = pathlib.Path(self.directory.name, "ports")
        self.log_file = pathlib.Path(self.directory.name, "log")
        self.arguments = [
            binary,
            "--host=127.0.0.1",
            f"--port={port}",
            "--metrics_port=0",
            f"--port_file={self.port_file}",
            *flags,
        ]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log,
                env=os.environ | (env or {}),
            )
        self.ports = {}

    def wait_for_ports(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"{self.arguments} ended with {self.process.returncode}:\n"
                    + self.log()
                )
            return self.port_file.exists()

        # Loading a model on a busy machine takes its time.
        wait_until(ready, seconds=120)
        lines = self.port_file.read_text().split()
        self.ports = {k: int(v) for k, v in (line.split("=") for line in lines)}
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.ports['port']}"

    def log(self):
        return self.log_file.read_text(errors="replace")

    def metrics(self):
        """All samples of /metrics, by name with labels."""
        url = f"http://127.0.0.1:{self.ports['metrics_port']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        samples = [re.match(r"(\S+(?:\{.*\})?) (\S+)$", line) for line in lines]
        return {m[1]: float(m[2]) for m in samples if m and line_is_sample(m[0])}

    def metric(self, name, **labels):
        """The sum of the samples of `name` that carry `labels`."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value
            for sample, value in self.metrics().items()
            if sample.split("{")[0] == name
            and all(label in sample for label in wanted)
        )

    def stop(self, signal_number=signal.SIGTERM, timeout=60):
        """Ends the process and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()


def line_is_sample(line):
    return not line.startswith("#")


def start_worker(*flags, port=0):
    return Server(WORKER, f"--model={MODEL}", *flags, port=port)


def start_group(world_size, *flags, group_port=0, port=0):
    """The ranks of one group, the leader first. What they have in common is
    given by `flags`."""
    common = (f"--world_size={world_size}", "--threads=1", *flags)
    leader = start_worker(
        "--rank=0", f"--group_port={group_port}", *common, port=port
    ).wait_for_ports()
    return [leader] + [
        start_follower(leader, rank, *common) for rank in range(1, world_size)
    ]


def start_follower(leader, rank, *flags):
    address = f"127.0.0.1:{leader.ports['group_port']}"
    return start_worker(f"--rank={rank}", f"--leader={address}", *flags)


def start_router(workers, *flags, tokenizer=True, port=0):
    """`workers` are servers with ports, or HOST:PORT."""
    addresses = ",".join(getattr(w, "address", w) for w in workers)
    if tokenizer:
        flags = (f"--tokenizer={TOKENIZER}", *flags)
    return Server(
        ROUTER, f"--workers={addresses}", *flags, port=port
    ).wait_for_ports()
