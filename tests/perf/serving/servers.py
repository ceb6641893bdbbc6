"""What the serving benchmarks share: servers as processes whose CPU time can be
told, and runs of `blockserve bench serve` against them."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A process that writes its port to a file."""

    def __init__(self, binary, directory, *flags):
        ports = pathlib.Path(directory) / (os.path.basename(binary) + ".ports")
        ports.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [binary, "--port=0", f"--port_file={ports}", *flags],
            stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not ports.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{binary} did not start")
            time.sleep(0.02)
        port = dict(line.split("=") for line in ports.read_text().split())["port"]
        self.address = f"127.0.0.1:{port}"

    def cpu_seconds(self):
        """User and system time so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if "VmHWM" in line)
        return int(peak.split()[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


@contextlib.contextmanager
def running(binary, directory, *flags):
    server = Server(binary, directory, *flags)
    try:
        yield server
    finally:
        server.stop()


def await_model(blockserve, address):
    """A router serves before it knows its workers."""
    deadline = time.monotonic() + 30
    arguments = [blockserve, "generate", f"--server={address}", "--prompt_ids=1",
                 "--max_tokens=1"]
    while subprocess.run(arguments, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise SystemExit("the router found no worker")
        time.sleep(0.05)


@contextlib.contextmanager
def routing(options, worker, max_outstanding_requests):
    """A router before a worker."""
    flags = ["--host=127.0.0.1", "--metrics_port=0", f"--workers={worker.address}",
             f"--tokenizer={options.tokenizer}",
             f"--max_outstanding_requests={max(1024, max_outstanding_requests)}"]
    with tempfile.TemporaryDirectory() as directory, running(
            options.router, directory, *flags) as router:
        await_model(options.blockserve, router.address)
        yield router


def load(options, servers, client_flags):
    """One run of the client against the last of `servers`: its report, and the
    CPU seconds of each."""
    before = [server.cpu_seconds() for server in servers]
    with tempfile.TemporaryDirectory() as directory:
        report_path = pathlib.Path(directory) / "report.json"
        result = subprocess.run(
            [options.blockserve, "bench", "serve", f"--server={servers[-1].address}",
             f"--prompt_tokens={options.prompt_tokens}",
             f"--max_tokens={options.max_tokens}", f"--json={report_path}",
             *client_flags],
            capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SystemExit(result.stderr)
        report = json.loads(report_path.read_text())
    if report["failures"]:
        raise SystemExit(f"requests failed: {report['failures']}")
    cpu = [server.cpu_seconds() - b for server, b in zip(servers, before)]
    return report, cpu
