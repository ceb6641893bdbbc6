"""Trains a demo model on a CPU and exports it for BlockServe.

    python train.py block   --data data --out models/demo-block   --layers 3 3
    python train.py vanilla --data data --out models/demo-vanilla --layers 2

--data comes from corpus.py. The same command again resumes from
OUT/checkpoint.pt; --minutes stops in time, resumably. The validation loss of
both kinds is the mean negative log-likelihood, in nats, of the same tokens:
all but the first block of every window.
"""

import argparse
import contextlib
import math
import pathlib
import time

import numpy as np
import torch
from torch.nn import functional as F

import checkpoint
from model import ModelOptions, make_model


def load_data(directory):
    directory = pathlib.Path(directory)
    names = ("train", "validation", "token_sizes")
    return {
        name: torch.from_numpy(np.load(directory / f"{name}.npy").astype(np.int64))
        for name in names
    }


def training_batch(tokens, arguments, model, generator):
    """Random windows. A block model sees 0..block_length - 1 pads in front of
    each, so that it learns every alignment of a prompt."""
    starts = torch.randint(len(tokens) - arguments.length, (arguments.batch,), generator=generator)
    pads = torch.zeros_like(starts)
    if model.kind == "block":
        pads = torch.randint(model.options.block_length, starts.shape, generator=generator)
    batch = torch.zeros(arguments.batch, arguments.length, dtype=torch.long)
    for row, start, pad in zip(batch, starts.tolist(), pads.tolist()):
        row[pad:] = tokens[start : start + arguments.length - pad]
    return batch


def cross_entropy(model, ids, reduction="mean"):
    logits = model(ids)
    targets = ids[:, model.options.block_length :]
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction=reduction)


@torch.no_grad()
def evaluate(model, data, arguments):
    """(nats per token, bits per byte) over windows that do not overlap."""
    model.eval()
    length = arguments.length
    tokens = data["validation"]
    windows = tokens[: len(tokens) // length * length].view(-1, length)
    nats = sum(
        cross_entropy(model, part, "sum").item() for part in windows.split(arguments.batch)
    )
    model.train()
    scored = windows[:, model.options.block_length :]
    num_bytes = data["token_sizes"][scored].sum().item()
    return nats / scored.numel(), nats / math.log(2) / max(1, num_bytes)


def learning_rate(step, arguments):
    """Linear warm-up, then a cosine down to 2 % of the peak."""
    if step < arguments.warmup:
        return arguments.lr * (step + 1) / arguments.warmup
    progress = (step - arguments.warmup) / max(1, arguments.steps - arguments.warmup)
    return arguments.lr * (0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, progress))))


class Run:
    """A training run: what a checkpoint holds besides the arguments."""

    def __init__(self, model, arguments):
        self.model, self.arguments = model, arguments
        self.path = pathlib.Path(arguments.out, "checkpoint.pt")
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.dim() >= 2], "weight_decay": 0.1},
                {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
            ],
            betas=(0.9, 0.95),
        )
        self.trained = trained
        self.generator = torch.Generator().manual_seed(arguments.seed)
        self.step, self.seconds, self.history = 0, 0.0, []

    def save(self):
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "progress": [self.step, self.seconds, self.history],
        }
        torch.save(state, self.path)

    def resume(self):
        if not self.path.exists():
            return
        state = torch.load(self.path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])
        self.step, self.seconds, self.history = state["progress"]
        print(f"resumed at step {self.step}", flush=True)

    def train_step(self, loss_of, tokens):
        rate = learning_rate(self.step, self.arguments)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(training_batch(tokens, self.arguments, self.model, self.generator))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.item()


def loss_function(model, arguments):
    def loss_of(ids):
        precision = contextlib.nullcontext()
        if arguments.bf16:
            precision = torch.autocast("cpu", torch.bfloat16)
        with precision:
            return cross_entropy(model, ids)

    # Halves the time of a step where PyTorch has it (2.x) and a C++ compiler.
    if arguments.compile and hasattr(torch, "compile"):
        return torch.compile(loss_of)
    return loss_of


def train(run, data):
    arguments = run.arguments
    loss_of = loss_function(run.model, arguments)
    started, losses = time.monotonic() - run.seconds, []
    while run.step < arguments.steps:
        losses.append(run.train_step(loss_of, data["train"]))
        run.seconds = time.monotonic() - started
        out_of_time = arguments.minutes and run.seconds > 60 * arguments.minutes
        if run.step % arguments.eval_every == 0 or run.step == arguments.steps or out_of_time:
            nats, bits = evaluate(run.model, data, arguments)
            run.history.append([run.step, round(nats, 4)])
            print(
                f"step {run.step}/{arguments.steps}  training loss "
                f"{sum(losses) / len(losses):.4f}  validation loss {nats:.4f} nats/token, "
                f"{bits:.4f} bits/byte  {run.seconds / 60:.1f} min",
                flush=True,
            )
            losses = []
            run.save()
        if out_of_time:
            break


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["block", "vanilla"])
    parser.add_argument("--data", required=True, help="folder made by corpus.py")
    parser.add_argument("--out", required=True, help="model directory")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 3], help="block decoder and token decoder; vanilla: one number")
    parser.add_argument("--block_length", type=int, default=4)
    parser.add_argument("--expansion_ratio", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--length", type=int, default=512, help="tokens per window")
    parser.add_argument("--batch", type=int, default=8, help="windows per step")
    parser.add_argument("--steps", type=int, default=4400)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--eval_every", type=int, default=400)
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no_bf16", dest="bf16", action="store_false")
    parser.add_argument("--no_compile", dest="compile", action="store_false")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    pathlib.Path(arguments.out).mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    data = load_data(arguments.data)
    options = ModelOptions(
        vocab_size=len(data["token_sizes"]),
        hidden=arguments.hidden,
        layers=tuple(arguments.layers),
        block_length=arguments.block_length,
        expansion_ratio=arguments.expansion_ratio,
        dropout=arguments.dropout,
    )
    model = make_model(arguments.kind, options)
    run = Run(model, arguments)
    run.resume()
    train(run, data)
    checkpoint.export(
        model, arguments.out, pathlib.Path(arguments.data, "tokenizer.json"), arguments.length
    )
    nats, bits = evaluate(model, data, arguments)
    facts = {
        "validation_nats_per_token": round(nats, 4),
        "validation_bits_per_byte": round(bits, 4),
        "context": arguments.length,
        "steps": run.step,
        "tokens_seen": run.step * arguments.batch * arguments.length,
        "training_minutes": round(run.seconds / 60, 1),
    }
    checkpoint.write_card(model, arguments.out, facts, run.history)
    print(f"exported {arguments.out}: validation loss {nats:.4f} nats/token")


if __name__ == "__main__":
    main()
