"""What a router costs: blocks per second through it, and what it adds to
latencies. A stub group takes the place of a model; client, router and stub run
on this machine, and the CPU time of each is told. Prints a table; figures are
in docs/benchmarks/serving.md.

  bazel build //router:blockserve_router //runtime/cli:blockserve \
      //tests/perf/stub_group
  python3 tests/perf/stub_group/router_benchmark.py throughput
  python3 tests/perf/stub_group/router_benchmark.py latency
"""

import argparse
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


def load(options, servers, client_flags):
    """One run of the client against the last of `servers`; returns a row."""
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


def throughput(options, stub):
    blocks_per_request = -(-options.max_tokens // options.block_length)
    print("concurrency  blocks/s  messages/s  CPU seconds per s: stub router client  "
          "blocks per CPU second of the router  router MiB")
    for concurrency in options.concurrency:
        with tempfile.TemporaryDirectory() as directory, running(
                options.router, directory, "--host=127.0.0.1", "--metrics_port=0",
                f"--max_outstanding_requests={max(1024, 2 * concurrency)}",
                f"--workers={stub.address}") as router:
            await_model(options.blockserve, router.address)
            num_requests = max(concurrency, options.blocks // blocks_per_request)
            report, cpu = load(options, [stub, router], [
                f"--concurrency={concurrency}", f"--num_requests={num_requests}"])
            blocks = num_requests * blocks_per_request
            seconds = report["duration"]
            print(f"{concurrency:11d}  {blocks / seconds:8.0f}  "
                  f"{report['chunk_throughput']:10.0f}  "
                  f"{cpu[0] / seconds:24.2f} {cpu[1] / seconds:6.2f} "
                  f"{report['client_cpu_seconds'] / seconds:6.2f}  "
                  f"{blocks / cpu[1]:36.0f}  {router.peak_mib():10.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["throughput", "latency"])
    parser.add_argument("--blockserve", default="bazel-bin/runtime/cli/blockserve")
    parser.add_argument("--router", default="bazel-bin/router/blockserve_router")
    parser.add_argument("--stub", default="bazel-bin/tests/perf/stub_group/stub_group")
    parser.add_argument("--block_length", type=int, default=4)
    parser.add_argument("--prompt_tokens", type=int, default=128)
    parser.add_argument("--max_tokens", type=int, default=512)
    parser.add_argument("--step_time", default="0")
    parser.add_argument("--blocks", type=int, default=400_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256, 1024])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running(
            options.stub, directory, f"--block_length={options.block_length}",
            f"--step_time={options.step_time}") as stub:
        throughput(options, stub)


if __name__ == "__main__":
    main()
