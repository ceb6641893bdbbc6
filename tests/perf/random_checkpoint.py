#!/usr/bin/env python3
"""Writes a Block Transformer of a published shape with random weights in bf16.

Speed does not depend on what the weights are. Usage:
  random_checkpoint.py --name=b4_85 --out=DIR
"""

import argparse
import json
import pathlib
import struct

import numpy as np

VOCAB = 50304
BLOCK_LENGTH = 4
EXPANSION = 2

# name: layers of either decoder, width, heads
SHAPES = {
    "b4_5": (3, 256, 8),
    "b4_19": (3, 512, 8),
    "b4_85": (6, 768, 12),
}

CONFIG = """name: {name}
block_length: {length}
block_split:
  distribution: fixed
  distribution_kwargs:
    length: {length}
max_length: 2048
random_pad_first_block: true
pad_to_block_boundary: true
tokenizer:
  embedder: pythia
  token_decoder: pythia
embedder:
  cls: lookup
  model_name_or_path: null
  n_embedding_tokens: 1
  use_pretrained_weights: false
  projection_method: concat
  config:
    vocab_size: {vocab}
    hidden_size: {embedding}
block_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  use_pretrained_weights: false
  attn_implementation: eager
  loss_name: null
  config:
    num_hidden_layers: {layers}
    hidden_size: {width}
    num_attention_heads: {heads}
    intermediate_size: {inner}
    vocab_size: {vocab}
token_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  use_pretrained_weights: false
  attn_implementation: eager
  expansion_method: expansion_layer
  expansion_ratio: {expansion}
  decoding_strategy: prefix
  config:
    num_hidden_layers: {layers}
    hidden_size: {width}
    num_attention_heads: {heads}
    intermediate_size: {inner}
    vocab_size: {vocab}
"""


def trunk(prefix, layers, width):
    yield f"{prefix}final_layer_norm.weight", (width,)
    yield f"{prefix}final_layer_norm.bias", (width,)
    for layer in range(layers):
        name = f"{prefix}layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{name}{norm}.weight", (width,)
            yield f"{name}{norm}.bias", (width,)
        for dense, rows, columns in (
            ("attention.query_key_value", 3 * width, width),
            ("attention.dense", width, width),
            ("mlp.dense_h_to_4h", 4 * width, width),
            ("mlp.dense_4h_to_h", width, 4 * width),
        ):
            yield f"{name}{dense}.weight", (rows, columns)
            yield f"{name}{dense}.bias", (rows,)


def tensors(layers, width):
    yield "embedder.embeddings.weight", (VOCAB, width // BLOCK_LENGTH)
    yield from trunk("block_decoder.gpt_neox.", layers, width)
    yield "token_decoder.gpt_neox.embed_in.weight", (VOCAB, width)
    yield "token_decoder.embed_out.weight", (VOCAB, width)
    yield "token_decoder.expansion_layer.weight", (EXPANSION * width, width, 1)
    yield "token_decoder.expansion_layer.bias", (EXPANSION * width,)
    yield from trunk("token_decoder.gpt_neox.", layers, width)


def to_bf16(values):
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) >> 16).astype(np.uint16)


def draw(name, shape, random):
    if "norm.weight" in name:
        return np.ones(shape, np.float32)
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    return random.standard_normal(shape, np.float32) * 0.02


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", choices=sorted(SHAPES), required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    layers, width, heads = SHAPES[arguments.name]
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "config.yaml").write_text(
        CONFIG.format(
            name=arguments.name,
            length=BLOCK_LENGTH,
            vocab=VOCAB,
            embedding=width // BLOCK_LENGTH,
            heads=heads,
            inner=4 * width,
            layers=layers,
            width=width,
            expansion=EXPANSION,
        )
    )
    random = np.random.default_rng(1)
    header, offset = {}, 0
    shapes = list(tensors(layers, width))
    for name, shape in shapes:
        num_bytes = 2 * int(np.prod(shape))
        header[name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [offset, offset + num_bytes],
        }
        offset += num_bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(arguments.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name, shape in shapes:
            file.write(to_bf16(draw(name, shape, random)).tobytes())
    print(f"{arguments.out}: {offset / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
