"""How much of the engine's throughput is left when it is served: `bench engine`
and `bench serve` at saturation (as many requests at once as the batch has
sequences), in turns, of the same model and shape. Client, router and worker
share this machine's cores, and the CPU time of each is told. Prints a table;
figures are in docs/benchmarks/serving.md.

  bazel build //router:blockserve_router //runtime/cli:blockserve \
      //runtime/worker:blockserve_worker
  python3 tests/perf/random_checkpoint.py --name=b4_85 --out=DIR
  python3 tests/perf/serving/engine_share.py --model=DIR
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

from servers import load, routing, running


def bench_engine(options):
    """The report of one run of the engine alone."""
    with tempfile.TemporaryDirectory() as directory:
        report_path = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [options.blockserve, "bench", "engine", f"--model={options.model}",
             f"--prefill={options.prompt_tokens}", f"--decode={options.max_tokens}",
             f"--batch={options.batch}", f"--dtype={options.dtype}",
             "--repeat=1", "--phases=off", "--bandwidth_bytes=256mb",
             f"--json={report_path}"],
            capture_output=True, check=True)
        return json.loads(report_path.read_text())


def bench_serve(options):
    """The report of one run through a router and a worker, and the cores that
    worker and router used."""
    flags = ["--host=127.0.0.1", "--metrics_port=0", "--group_port=0",
             f"--model={options.model}", f"--dtype={options.dtype}",
             f"--max_batch_size={options.batch}",
             f"--max_context={options.prompt_tokens + options.max_tokens}"]
    with tempfile.TemporaryDirectory() as directory, running(
            options.worker, directory, *flags) as worker, routing(
                options, worker, 2 * options.batch) as router:
        # As the engine's benchmark does: a run of the whole shape goes before.
        concurrency = f"--concurrency={options.concurrency or options.batch}"
        load(options, [worker, router],
             [concurrency, f"--num_requests={options.batch}"])
        report, cpu = load(options, [worker, router], [
            concurrency, f"--num_requests={options.batch * options.waves}"])
    return report, [seconds / report["duration"] for seconds in cpu]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of a checkpoint")
    parser.add_argument("--blockserve", default="bazel-bin/runtime/cli/blockserve")
    parser.add_argument("--router", default="bazel-bin/router/blockserve_router")
    parser.add_argument("--worker",
                        default="bazel-bin/runtime/worker/blockserve_worker")
    parser.add_argument("--tokenizer", default="", help="of the router; default: none")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--prompt_tokens", type=int, default=128)
    parser.add_argument("--max_tokens", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=0,
                        help="requests at once; default: --batch")
    parser.add_argument("--waves", type=int, default=2,
                        help="measured requests, in batches")
    parser.add_argument("--repeat", type=int, default=1, help="pairs")
    options = parser.parse_args()
    print("engine tokens/s  served tokens/s  ratio  "
          "cores used: worker router client", flush=True)
    ratios = []
    for _ in range(options.repeat):
        alone = bench_engine(options)["tokens_per_second"]
        report, cores = bench_serve(options)
        served = report["output_throughput"]
        ratios.append(served / alone)
        print(f"{alone:15.0f}  {served:15.0f}  {ratios[-1]:5.3f}  "
              f"{cores[0]:18.2f} {cores[1]:6.2f} "
              f"{report['client_cpu_seconds'] / report['duration']:6.2f}", flush=True)
    print(f"median ratio of {options.repeat}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
