#!/usr/bin/env python3
"""BlockServe beside its peers, in turns, in one run (README.md).

  compare.py --blockserve=bazel-bin/runtime/cli/blockserve --label=COMMIT \\
      --authors_python=VENV/bin/python --authors_checkout=DIR \\
      --hf_python=VENV/bin/python --vllm_python=VENV/bin/python --out=DIR

Writes DIR/peers.md and DIR/peers.json after every round of a case, so that a
run that is cut off leaves what it had.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import sys

import cases
import commands
import comparison


def parse_arguments():
    names = [case.name for case in cases.CASES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blockserve", type=pathlib.Path, required=True)
    parser.add_argument("--authors_python", type=pathlib.Path)
    parser.add_argument("--authors_checkout", type=pathlib.Path)
    parser.add_argument("--hf_python", type=pathlib.Path)
    parser.add_argument("--vllm_python", type=pathlib.Path)
    parser.add_argument(
        "--vllm_flags", type=shlex.split, default=[], help="more flags for vllm_vanilla.py"
    )
    parser.add_argument("--cases", default=",".join(names))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600, help="s, of a process")
    parser.add_argument("--label", default="", help="commit of BlockServe")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    unknown = set(arguments.cases.split(",")) - set(names)
    if unknown:
        parser.error(f"--cases: unknown {sorted(unknown)}; there are {names}")
    if arguments.authors_python and not arguments.authors_checkout:
        parser.error("--authors_checkout: needed with --authors_python")
    return add_peers(arguments)


def add_peers(arguments):
    pythons = {
        cases.AUTHORS: arguments.authors_python,
        cases.HUGGING_FACE: arguments.hf_python,
        cases.VLLM: arguments.vllm_python,
    }
    arguments.pythons = {peer: path for peer, path in pythons.items() if path}
    arguments.extra_flags = {cases.VLLM: arguments.vllm_flags}
    if arguments.authors_checkout:
        arguments.extra_flags[cases.AUTHORS] = [
            f"--checkout={arguments.authors_checkout}"
        ]
    return arguments


def command_text(arguments):
    """The command, with words for the places of this machine."""
    flags = []
    for name, value in vars(arguments).items():
        if name in ("pythons", "extra_flags", "out") or not value:
            continue
        if isinstance(value, list):
            value = shlex.join(value)
        elif isinstance(value, pathlib.Path) and value.is_absolute():
            value = name.upper()
        flags.append(f"--{name}={value}")
    return shlex.join(["tests/perf/peers/compare.py", *flags, "--out=OUT"])


def machine():
    names, flags = set(), set()
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                names.add(value.strip())
            elif key.strip() == "flags":
                flags |= set(value.split())
    widest = [
        flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags
    ]
    with open("/proc/meminfo") as file:
        memory_gib = int(file.readline().split()[1]) / 2**20
    return (
        f"{', '.join(sorted(names)) or platform.processor()}, {os.cpu_count()} cores, "
        f"{', '.join(widest)}; {memory_gib:.0f} GiB"
    )


def measured_context(results):
    """What the systems said of themselves and of the machine."""
    versions, peaks = {}, ""
    for _, measurements in results:
        for system, runs in measurements.items():
            for report in (run.report for run in runs if run.report):
                if system != commands.OURS:
                    versions[system] = report.get("versions", {})
                elif report.get("gemm_peak_flops"):
                    bandwidth = report["read_bandwidth_bytes_per_second"]
                    peaks = (
                        f"GEMM {report['gemm_peak_flops'] * 1e-9:.0f} GFLOP/s, "
                        f"reading {bandwidth * 1e-9:.1f} GB/s"
                    )
    text = "; ".join(
        f"{cases.PEER_NAMES[peer]}: "
        + ", ".join(f"{name} {version}" for name, version in parts.items())
        for peer, parts in versions.items()
    )
    return {"versions": text or "none", "peaks": peaks}


def write(arguments, results, context):
    context = context | measured_context(results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "peers.md").write_text(comparison.markdown(results, context))
    (arguments.out / "peers.json").write_text(
        json.dumps(comparison.as_json(results, context), indent=1) + "\n"
    )


def systems_of(arguments, case):
    return [commands.OURS] + [peer for peer in case.goals if peer in arguments.pythons]


def measure_round(arguments, case, measurements):
    """True if every system that takes part gave a figure."""
    complete = True
    for system in systems_of(arguments, case):
        measurement = commands.measure(arguments, case, system)
        measurements.setdefault(system, []).append(measurement)
        said = measurement.error or f"{measurement.tokens_per_second:.1f} tokens/s"
        print(f"{case.name}: {system}: {said}", file=sys.stderr, flush=True)
        complete = complete and not measurement.error
    return complete


def main():
    arguments = parse_arguments()
    commands.adopt_orphans()
    wanted = arguments.cases.split(",")
    context = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": machine(),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "label": arguments.label,
        "skipped": ", ".join(
            name for peer, name in cases.PEER_NAMES.items()
            if peer not in arguments.pythons
        ),
        "command": command_text(arguments),
    }
    results, complete = [], True
    for case in cases.CASES:
        if case.name not in wanted or len(systems_of(arguments, case)) == 1:
            continue
        measurements = {}
        results.append((case, measurements))
        for _ in range(arguments.rounds):
            complete = measure_round(arguments, case, measurements) and complete
            write(arguments, results, context)
    if not results:
        sys.exit("nothing to compare: name a peer's Python and its cases")
    print((arguments.out / "peers.md").read_text(), end="")
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
