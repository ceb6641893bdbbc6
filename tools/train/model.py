"""The demo architectures in PyTorch: a Block Transformer and a GPT-NeoX.

Module names are the checkpoint's parameter names, so a state dict is a
checkpoint. The arithmetic is that of arXiv 2406.02657 and GPT-NeoX; it is meant
for training on a CPU and tested against the runtime (train_test.py).
"""

import dataclasses
import math

import torch
from torch import nn
from torch.nn import functional as F

END_OF_TEXT = 0  # also what pads the first block
ROTARY_SHARE = 0.25
ROTARY_BASE = 10000.0
NORM_EPS = 1e-5


@dataclasses.dataclass
class ModelOptions:
    """Shapes of a model; `layers` is (block decoder, token decoder) or (all,)."""

    vocab_size: int
    hidden: int = 256
    layers: tuple = (3, 3)
    block_length: int = 4
    expansion_ratio: int = 2
    dropout: float = 0.0

    @property
    def head_dim(self):
        """The paper's code derives the head size from the width."""
        if self.hidden <= 256:
            return 32
        return 64 if self.hidden <= 1536 else 128


def causal_softmax(scores):
    """Softmax over the past, in fp32.

    Spelled out, because the compiler of PyTorch 2.5 makes wrong C++ of the
    backward pass of torch.softmax on CPUs.
    """
    length = scores.shape[-1]
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -1e30)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True).detach())
    return weights / weights.sum(-1, keepdim=True)


class Attention(nn.Module):
    """Causal self-attention with rotary positions on part of each head."""

    def __init__(self, options):
        super().__init__()
        self.head_dim = options.head_dim
        # Rows interleaved by head: query, key, value of head 0, then head 1, ...
        self.query_key_value = nn.Linear(options.hidden, 3 * options.hidden)
        self.dense = nn.Linear(options.hidden, options.hidden)

    def forward(self, x, rotation):
        batch, length, hidden = x.shape
        qkv = self.query_key_value(x).view(batch, length, -1, 3, self.head_dim)
        query, key, value = qkv.permute(3, 0, 2, 1, 4)  # [batch, head, length, d]
        query, key = rotate(query, rotation), rotate(key, rotation)
        scale = self.head_dim**-0.5
        if length <= 8:
            # A block's few positions in thousands of rows: one fused pass over
            # products is faster than as many tiny matrix products.
            scores = (query.unsqueeze(3) * key.unsqueeze(2)).float().sum(-1)
            weights = causal_softmax(scores * scale).to(value.dtype)
            mixed = (weights.unsqueeze(-1) * value.unsqueeze(2)).sum(3)
        else:
            scores = (query @ key.transpose(2, 3)).float()
            mixed = causal_softmax(scores * scale).to(value.dtype) @ value
        return self.dense(mixed.transpose(1, 2).reshape(batch, length, hidden))


def rotate(x, rotation):
    """Rotates the first part of each head: element i with element i + half."""
    cosine, sine = rotation
    half = cosine.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat(
        [first * cosine - second * sine, second * cosine + first * sine, rest], -1
    ).to(x.dtype)


class Mlp(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.dense_h_to_4h = nn.Linear(options.hidden, 4 * options.hidden)
        self.dense_4h_to_h = nn.Linear(4 * options.hidden, options.hidden)

    def forward(self, x):
        return self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x)))


class Layer(nn.Module):
    """Attention and MLP side by side: both read the layer's input."""

    def __init__(self, options):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(options.hidden, NORM_EPS)
        self.post_attention_layernorm = nn.LayerNorm(options.hidden, NORM_EPS)
        self.attention = Attention(options)
        self.mlp = Mlp(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x, rotation):
        attended = self.attention(self.input_layernorm(x), rotation)
        return x + self.dropout(attended + self.mlp(self.post_attention_layernorm(x)))


class Trunk(nn.Module):
    def __init__(self, options, num_layers):
        super().__init__()
        self.embed_in = nn.Embedding(options.vocab_size, options.hidden)
        self.layers = nn.ModuleList(Layer(options) for _ in range(num_layers))
        self.final_layer_norm = nn.LayerNorm(options.hidden, NORM_EPS)
        self.rotary_dim = int(options.head_dim * ROTARY_SHARE)

    def forward(self, x):
        exponent = torch.arange(0, self.rotary_dim, 2) / self.rotary_dim
        angle = torch.arange(x.shape[1])[:, None] * ROTARY_BASE**-exponent
        rotation = (angle.cos(), angle.sin())  # [length, rotary_dim / 2]
        for layer in self.layers:
            x = layer(x, rotation)
        return self.final_layer_norm(x)


class Vanilla(nn.Module):
    """GPT-NeoX: the baseline of equal loss."""

    kind = "vanilla"

    def __init__(self, options):
        super().__init__()
        self.options = options
        self.gpt_neox = Trunk(options, options.layers[0])
        self.embed_out = nn.Linear(options.hidden, options.vocab_size, bias=False)
        initialise(self, options.layers[0])

    def forward(self, ids):
        """ids [batch, T] -> logits of tokens block_length..T-1."""
        hidden = self.gpt_neox(self.gpt_neox.embed_in(ids[:, :-1]))
        return self.embed_out(hidden[:, self.options.block_length - 1 :])


class BlockTransformer(nn.Module):
    """Lookup + concat embedder, block decoder, prefix token decoder."""

    kind = "block"

    def __init__(self, options):
        super().__init__()
        self.options = options
        width = options.hidden // options.block_length
        self.embedder = nn.ModuleDict(
            {"embeddings": nn.Embedding(options.vocab_size, width)}
        )
        self.block_decoder = nn.ModuleDict(
            {"gpt_neox": Trunk(options, options.layers[0])}
        )
        self.token_decoder = nn.ModuleDict(
            {
                "gpt_neox": Trunk(options, options.layers[1]),
                "expansion_layer": nn.Conv1d(
                    options.hidden, options.expansion_ratio * options.hidden, 1
                ),
                "embed_out": nn.Linear(
                    options.hidden, options.vocab_size, bias=False
                ),
            }
        )
        initialise(self, max(options.layers))
        # Part of the checkpoint format, read by nobody.
        unused = self.block_decoder["gpt_neox"].embed_in.weight
        unused.requires_grad_(False).zero_()

    def contexts(self, ids):
        """ids [batch, T] -> context embeddings [batch, T / block_length, hidden]."""
        batch, length = ids.shape
        num_blocks = length // self.options.block_length
        blocks = self.embedder["embeddings"](ids).view(batch, num_blocks, -1)
        return self.block_decoder["gpt_neox"](blocks)

    def decode(self, contexts, tokens):
        """contexts [n, hidden], tokens [n, k] -> logits [n, k + 1, vocab]."""
        expansion = self.token_decoder["expansion_layer"]
        expanded = F.linear(contexts, expansion.weight[:, :, 0], expansion.bias)
        prefix = expanded.view(len(contexts), self.options.expansion_ratio, -1)
        trunk = self.token_decoder["gpt_neox"]
        inputs = torch.cat([prefix, trunk.embed_in(tokens).to(prefix.dtype)], 1)
        hidden = trunk(inputs)[:, self.options.expansion_ratio - 1 :]
        return self.token_decoder["embed_out"](hidden)

    def forward(self, ids):
        """ids [batch, T] -> logits of tokens block_length..T-1."""
        block_length = self.options.block_length
        contexts = self.contexts(ids)[:, :-1].flatten(0, 1)
        targets = ids[:, block_length:].reshape(-1, block_length)
        logits = self.decode(contexts, targets[:, :-1])
        return logits.view(len(ids), ids.shape[1] - block_length, -1)


def make_model(kind, options):
    return {"block": BlockTransformer, "vanilla": Vanilla}[kind](options)


def initialise(model, depth):
    """Small normal weights; what writes to the residual stream, smaller."""
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2:
            deviation = 0.02
            if name.endswith(("attention.dense.weight", "dense_4h_to_h.weight")):
                deviation /= math.sqrt(2 * depth)
            nn.init.normal_(parameter, std=deviation)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
