"""What a router costs: blocks per second through it, and what it adds to
latencies. A stub group takes the place of a model; client, router and stub run
on this machine, and the CPU time of each is told. Prints a table; figures are
in docs/benchmarks/serving.md.

  bazel build //router:blockserve_router //runtime/cli:blockserve \
      //tests/perf/stub_group
  python3 tests/perf/serving/router_benchmark.py throughput
  python3 tests/perf/serving/router_benchmark.py latency
"""

import argparse
import statistics
import tempfile

from servers import load, routing, running


def throughput(options, stub):
    blocks_per_request = -(-options.max_tokens // options.block_length)
    print("concurrency  blocks/s  messages/s  cores used: stub router client  "
          "blocks per CPU second of the router  router MiB")
    for concurrency in options.concurrency:
        with routing(options, stub, 2 * concurrency) as router:
            num_requests = max(concurrency, options.blocks // blocks_per_request)
            report, cpu = load(options, [stub, router], [
                f"--concurrency={concurrency}", f"--num_requests={num_requests}"])
            blocks = num_requests * blocks_per_request
            seconds = report["duration"]
            print(f"{concurrency:11d}  {blocks / seconds:8.0f}  "
                  f"{report['chunk_throughput']:10.0f}  "
                  f"{cpu[0] / seconds:16.2f} {cpu[1] / seconds:6.2f} "
                  f"{report['client_cpu_seconds'] / seconds:6.2f}  "
                  f"{blocks / cpu[1]:36.0f}  {router.peak_mib():10.0f}", flush=True)


def latency(options, stub):
    """Pairs of runs, with and without the router, in turns."""
    blocks_per_request = -(-options.max_tokens // options.block_length)
    print("blocks/s  path      "
          + "  ".join(f"{name:>4s} p50    p99" for name in ("TTFT", "ITL", "E2E"))
          + "  cores used: stub router client   (ms)")
    with routing(options, stub, 100_000) as router:
        for blocks_per_second in options.rates:
            rate = blocks_per_second / blocks_per_request
            added = []
            for _ in range(options.repeat):
                reports = []
                for servers in ([stub], [stub, router]):
                    report, cpu = load(options, servers, [
                        f"--rate={rate}",
                        f"--num_requests={int(rate * options.seconds)}"])
                    print_latency(blocks_per_second, servers, report, cpu)
                    reports.append(report)
                added.append([reports[1][f"p99_{key}_ms"] - reports[0][f"p99_{key}_ms"]
                              for key in ("ttft", "itl", "e2el")])
            medians = [statistics.median(column) for column in zip(*added)]
            print(f"{blocks_per_second:8d}  added at p99, median of {options.repeat}: "
                  "TTFT {:.3f}, ITL {:.3f}, E2E {:.3f} ms".format(*medians), flush=True)


def print_latency(blocks_per_second, servers, report, cpu):
    seconds = report["duration"]
    cores = [seconds_used / seconds for seconds_used in cpu] + [0] * (2 - len(cpu))
    print(f"{blocks_per_second:8d}  {'direct' if len(servers) == 1 else 'router':6s}  "
          + "  ".join(f"{report[f'p50_{key}_ms']:8.3f} {report[f'p99_{key}_ms']:8.3f}"
                      for key in ("ttft", "itl", "e2el"))
          + f"  {cores[0]:16.2f} {cores[1]:6.2f} "
          + f"{report['client_cpu_seconds'] / seconds:6.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mode", choices=["throughput", "latency"])
    parser.add_argument("--blockserve", default="bazel-bin/runtime/cli/blockserve")
    parser.add_argument("--router", default="bazel-bin/router/blockserve_router")
    parser.add_argument("--stub", default="bazel-bin/tests/perf/stub_group/stub_group")
    parser.add_argument("--tokenizer", default="", help="of the router; default: none")
    parser.add_argument("--block_length", type=int, default=4)
    parser.add_argument("--prompt_tokens", type=int, default=128)
    parser.add_argument("--max_tokens", type=int)
    parser.add_argument("--blocks", type=int, default=600_000,
                        help="throughput: of a run")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256, 1024],
                        help="throughput: requests at once")
    parser.add_argument("--step_time", help="latency: of the stub", default="10ms")
    parser.add_argument("--rates", type=int, nargs="+", default=[10_000, 25_000, 50_000],
                        help="latency: blocks per second, open loop")
    parser.add_argument("--seconds", type=float, default=5, help="latency: of a run")
    parser.add_argument("--repeat", type=int, default=3, help="latency: pairs")
    options = parser.parse_args()
    is_latency = options.mode == "latency"
    if options.max_tokens is None:
        options.max_tokens = 128 if is_latency else 512
    step_time = options.step_time if is_latency else "0"
    with tempfile.TemporaryDirectory() as directory, running(
            options.stub, directory, f"--block_length={options.block_length}",
            f"--step_time={step_time}") as stub:
        (latency if is_latency else throughput)(options, stub)


if __name__ == "__main__":
    main()
