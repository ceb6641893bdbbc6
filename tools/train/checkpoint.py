"""Writes a trained model as a directory that `blockserve --model` loads."""

import json
import math
import pathlib
import shutil
import struct

import torch

from model import END_OF_TEXT, NORM_EPS, ROTARY_BASE, ROTARY_SHARE

BASE_MODEL = "EleutherAI/pythia-410m-deduped"


def write_safetensors(path, tensors):
    """Writes {name: bfloat16 tensor} in the safetensors format."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * 2
        header[name] = {
            "dtype": "BF16",
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().view(torch.int16).numpy().tobytes())


def _trunk_config(options, num_layers):
    return {
        "num_hidden_layers": num_layers,
        "hidden_size": options.hidden,
        "vocab_size": options.vocab_size,
    }


def block_config(options, name, length):
    """config.yaml of the authors' layout (as JSON, which is YAML)."""
    decoder = {
        "cls": "gpt-neo-x",
        "model_name_or_path": BASE_MODEL,
        "use_pretrained_weights": False,
        "attn_implementation": "eager",
    }
    return {
        "name": name,
        "block_length": options.block_length,
        "block_split": {
            "distribution": "fixed",
            "distribution_kwargs": {"length": options.block_length},
        },
        "max_length": length,
        "random_pad_first_block": True,
        "pad_to_block_boundary": True,
        "tokenizer": {"embedder": "pythia", "token_decoder": "pythia"},
        "embedder": {
            "cls": "lookup",
            "model_name_or_path": None,
            "n_embedding_tokens": 1,
            "use_pretrained_weights": False,
            "projection_method": "concat",
            "config": {
                "vocab_size": options.vocab_size,
                "hidden_size": options.hidden // options.block_length,
            },
        },
        "block_decoder": {
            **decoder,
            "loss_name": None,
            "config": _trunk_config(options, options.layers[0]),
        },
        "token_decoder": {
            **decoder,
            "expansion_method": "expansion_layer",
            "expansion_ratio": options.expansion_ratio,
            "decoding_strategy": "prefix",
            "config": _trunk_config(options, options.layers[1]),
        },
        "precision": "bf16",
    }


def vanilla_config(options, length):
    """config.json as Hugging Face writes it for GPT-NeoX."""
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "attention_bias": True,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "hidden_act": "gelu",
        "hidden_size": options.hidden,
        "initializer_range": 0.02,
        "intermediate_size": 4 * options.hidden,
        "layer_norm_eps": NORM_EPS,
        "max_position_embeddings": length,
        "num_attention_heads": options.hidden // options.head_dim,
        "num_hidden_layers": options.layers[0],
        "rotary_emb_base": ROTARY_BASE,
        "rotary_pct": ROTARY_SHARE,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_parallel_residual": True,
        "vocab_size": options.vocab_size,
    }


def export(model, directory, tokenizer, length):
    """Writes weights (bf16), configuration and tokenizer.

    The model's own weights are rounded as well, so that what is evaluated
    afterwards is what was written.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[name] = parameter.detach().to(torch.bfloat16)
        parameter.data.copy_(tensors[name].float())
    write_safetensors(directory / "model.safetensors", tensors)
    if model.kind == "block":
        config, name = block_config(model.options, directory.name, length), "config.yaml"
    else:
        config, name = vanilla_config(model.options, length), "config.json"
    (directory / name).write_text(json.dumps(config, indent=1) + "\n")
    shutil.copy(tokenizer, directory / "tokenizer.json")


def write_card(model, directory, facts, history):
    """README.md (the model card) and results.json."""
    directory = pathlib.Path(directory)
    counts = {name: p.numel() for name, p in model.named_parameters()}
    unused = counts.get("block_decoder.gpt_neox.embed_in.weight", 0)
    facts = {
        "kind": model.kind,
        **facts,
        "perplexity": round(math.exp(facts["validation_nats_per_token"]), 2),
        "parameters_used": sum(counts.values()) - unused,
        "parameters_stored_but_unused": unused,
        "hidden_size": model.options.hidden,
        "layers": list(model.options.layers),
        "vocabulary": model.options.vocab_size,
    }
    rows = [f"| {key.replace('_', ' ')} | {value} |" for key, value in facts.items()]
    losses = ", ".join(f"{step}: {loss:.3f}" for step, loss in history)
    card = [f"# {directory.name}", "", "| | |", "|---|---|", *rows, "",
            f"Validation loss by step: {losses}", ""]
    (directory / "README.md").write_text("\n".join(card))
    results = {**facts, "history": history}
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
