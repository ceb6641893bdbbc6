"""What the peers' scripts share: the shape on the command line, the clock, and
one line of JSON on stdout; whatever else a peer prints goes to stderr.

The protocol is that of the authors' measure_generation_time.py: random prompts
of one length, greedy, no early end, and new tokens over the time of the whole
call, prompts included. A run of the full shape goes before the timed ones, so
that what is made once per matrix shape is made.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time

VOCAB_SIZE = 50304
SEED = 1


def parse_shape(description, models):
    """Flags of a peer; returns the parser, to which a peer may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=models, default=models[0])
    parser.add_argument("--prefill", type=int, default=128)
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="timed runs")
    return parser


@contextlib.contextmanager
def quiet_stdout():
    """Keeps stdout for the one line of JSON."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def tokens_per_second(generate, shape):
    """One warm-up and `shape.repeat` timed calls of `generate()`, which returns
    how many new tokens it made of every sequence."""
    rates = []
    for run in range(1 + shape.repeat):
        start = time.perf_counter()
        lengths = generate()
        seconds = time.perf_counter() - start
        expected = [shape.decode] * shape.batch
        if lengths != expected:
            raise RuntimeError(
                f"expected {shape.decode} new tokens of {shape.batch} sequences, "
                f"got lengths {sorted(set(lengths))} of {len(lengths)}"
            )
        if run > 0:
            rates.append(shape.batch * shape.decode / seconds)
    return rates


def report(peer, shape, rates, versions):
    print(
        json.dumps(
            {
                "peer": peer,
                "model": shape.model,
                "prefill": shape.prefill,
                "decode": shape.decode,
                "batch": shape.batch,
                "dtype": "bf16",
                "threads": shape.threads,
                "tokens_per_second": statistics.median(rates),
                "runs": rates,
                "versions": versions,
            }
        ),
        flush=True,
    )
