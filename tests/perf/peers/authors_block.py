#!/usr/bin/env python3
"""The authors' PyTorch code on a CPU: a published block model, random weights.

  authors_block.py --checkout=DIR --model=b4_85 --prefill=128 --decode=128 \\
      --batch=64 --threads=2

Builds the model as measure_generation_time.py does, from the checkout's own
conf/trainer, but with eager attention (FlashAttention needs a GPU), without its
tokenizers (they would be fetched; ids are random anyway) and on the CPU.
"""

import json
import math
import pathlib
import sys
import tempfile
import types

import measure

MODELS = ["b4_85", "b4_5", "b4_19", "b4_300", "b4_800", "b4_1.2b"]

# What the authors' configurations start from: pythia-410m-deduped.
BASE_CONFIG = {
    "model_type": "gpt_neox",
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": measure.VOCAB_SIZE,
}


def import_checkout(checkout):
    """The authors' modules, less the one that fetches tokenizers on import."""
    if not (checkout / "model" / "block_transformer.py").is_file():
        raise SystemExit(f"--checkout: no model/block_transformer.py in {checkout}")
    sys.path.insert(0, str(checkout))
    tokenizer = types.ModuleType("util.tokenizer")
    tokenizer.load_tokenizer_and_mapper_from_block_config = lambda cfg: (None, None)
    sys.modules["util.tokenizer"] = tokenizer


def load_config(checkout, model, num_blocks, base_directory):
    from util.config import load_config as load_authors_config

    config = load_authors_config(
        str(checkout / "conf" / "trainer" / f"block_main_{model}.yaml")
    )
    for decoder in (config.block_decoder, config.token_decoder):
        decoder.model_name_or_path = str(base_directory)
        decoder.attn_implementation = "eager"
    config.block_decoder.config["max_position_embeddings"] = num_blocks
    return config


def build(config):
    from model import utils
    from model.block_transformer import BlockTransformer

    block_decoder = utils.load_block_decoder_from_config(config)
    embedder = utils.load_embedder_from_config(config, block_decoder)
    token_decoder = utils.load_token_decoder_from_config(config, block_decoder)
    token_decoder.config.pad_token_id = 1
    token_decoder.config.eos_token_id = 0
    token_decoder.generation_config.eos_token_id = None
    return BlockTransformer(
        embedder=embedder,
        block_decoder=block_decoder,
        token_decoder=token_decoder,
        token_mapper=None,
        decoding_strategy=config.token_decoder.decoding_strategy,
    )


def load_model(checkout, shape):
    import_checkout(checkout)
    import torch
    from transformers.modeling_utils import no_init_weights

    torch.set_num_threads(shape.threads)
    torch.manual_seed(measure.SEED)
    with tempfile.TemporaryDirectory() as directory:
        base = pathlib.Path(directory)
        (base / "config.json").write_text(json.dumps(BASE_CONFIG))
        num_blocks = math.ceil((shape.prefill + shape.decode) / 4)
        config = load_config(checkout, shape.model, num_blocks, base)
        # The constructors would draw every weight three times over.
        with no_init_weights():
            model = build(config)
    return fill_weights(model).eval()


def fill_weights(model):
    """Random weights in a second: one draw, laid end to end."""
    import torch

    drawn = torch.empty(1 << 20).normal_(0, 0.02)
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if "norm.weight" in name:
                parameter.fill_(1)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                repeats = -(-parameter.numel() // len(drawn))
                values = drawn.repeat(repeats)[: parameter.numel()]
                parameter.copy_(values.view_as(parameter))
    return model


def main():
    parser = measure.parse_shape(__doc__, MODELS)
    parser.add_argument("--checkout", type=pathlib.Path, required=True)
    shape = parser.parse_args()
    if shape.prefill % 4 != 0:
        parser.error("--prefill: expected a multiple of the block length 4")
    with measure.quiet_stdout():
        model = load_model(shape.checkout.resolve(), shape)
        import torch
        import transformers

        prompts = torch.randint(
            2, measure.VOCAB_SIZE, (shape.batch, shape.prefill)
        )

        def generate():
            output = model.generate(
                prompts, max_length=shape.prefill + shape.decode
            )
            return [len(row) - shape.prefill for row in output]

        rates = measure.tokens_per_second(generate, shape)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    measure.report("authors_block", shape, rates, versions)


if __name__ == "__main__":
    main()
