#!/usr/bin/env python3
"""vLLM's CPU build: vanilla GPT-NeoX 160M, weights made up by vLLM.

  vllm_vanilla.py --prefill=128 --decode=512 --batch=64 --threads=2

The engine's defaults, but for prefix caching: every run has the same prompts,
and a cached prompt is not computed.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import tempfile

import measure

MODELS = ["vanilla_160"]

TCMALLOC = pathlib.Path("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4")

SHUTDOWN_SECONDS = 10

CONFIG = {
    "model_type": "gpt_neox",
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": measure.VOCAB_SIZE,
}


def preload(libraries):
    """Starts this script again with what vLLM's manual says to load first: its
    OpenMP runtime and an allocator, where they are installed."""
    libraries = [str(library) for library in libraries if library.is_file()]
    if libraries and "LD_PRELOAD" not in os.environ:
        os.environ["LD_PRELOAD"] = ":".join(libraries)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def preloaded():
    libraries = os.environ.get("LD_PRELOAD", "").split(":")
    return " ".join(pathlib.Path(library).name for library in libraries)


def set_environment(shape):
    """What vLLM reads from nowhere else; before it is imported."""
    cores = sorted(os.sched_getaffinity(0))[: shape.threads]
    if len(cores) < shape.threads:
        raise SystemExit(f"--threads: this process may use {len(cores)} cores")
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(shape.kv_cache_gib)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(shape.engine_process))
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Its log goes to stdout otherwise, from a process of its own.
    os.environ["VLLM_LOGGING_STREAM"] = "ext://sys.stderr"


def load_engine(shape, directory):
    from vllm import LLM

    (pathlib.Path(directory) / "config.json").write_text(json.dumps(CONFIG))
    return LLM(
        model=str(directory),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=shape.prefill + shape.decode,
        max_num_seqs=shape.batch,
        enable_prefix_caching=False,
        enforce_eager=not shape.compile,
        seed=measure.SEED,
    )


def leave(engine):
    """Ends vLLM's processes and this one at once: on a busy machine the ordinary
    end of a run has taken four minutes."""
    engine.llm_engine.engine_core.shutdown(timeout=SHUTDOWN_SECONDS)
    os._exit(0)


def main():
    parser = measure.parse_shape(__doc__, MODELS)
    parser.add_argument("--kv_cache_gib", type=int, default=4)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="torch.compile of the model, vLLM's default; needs a C++ compiler",
    )
    parser.add_argument(
        "--engine_process",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the scheduler in a process of its own, vLLM's default",
    )
    parser.add_argument(
        "--preload",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="load Intel's OpenMP runtime and tcmalloc first, as vLLM's manual says",
    )
    parser.add_argument("--tcmalloc", type=pathlib.Path, default=TCMALLOC)
    shape = parser.parse_args()
    if shape.preload:
        preload([pathlib.Path(sys.prefix) / "lib" / "libiomp5.so", shape.tcmalloc])
    set_environment(shape)
    with measure.quiet_stdout(), tempfile.TemporaryDirectory() as directory:
        import torch
        import vllm

        engine = load_engine(shape, directory)
        draw = random.Random(measure.SEED)
        prompts = [
            {
                "prompt_token_ids": [
                    draw.randrange(2, measure.VOCAB_SIZE)
                    for _ in range(shape.prefill)
                ]
            }
            for _ in range(shape.batch)
        ]
        sampling = vllm.SamplingParams(
            temperature=0,
            max_tokens=shape.decode,
            ignore_eos=True,
            detokenize=False,
        )

        def generate():
            outputs = engine.generate(prompts, sampling, use_tqdm=False)
            return [len(output.outputs[0].token_ids) for output in outputs]

        rates = measure.tokens_per_second(generate, shape)
    versions = {"torch": torch.__version__, "vllm": vllm.__version__}
    if preloaded():
        versions["with"] = preloaded()
    measure.report("vllm_vanilla", shape, rates, versions)
    leave(engine)


if __name__ == "__main__":
    main()
