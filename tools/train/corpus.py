"""Text to training data: tokenizer.json and token files.

    python corpus.py --text train/*.txt --validation val/*.txt --out data

Each file is one work; works are separated by <|endoftext|>. `gutenberg.py`
makes such files from Debian packages.
"""

import argparse
import json
import pathlib

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL_TOKENS = ["<|endoftext|>", "<|padding|>"]


def train_tokenizer(texts, vocab_size):
    """Byte-level BPE with the pre-tokenisation of GPT-2 and NFC."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = (line for text in texts for line in text.splitlines(True))
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def token_sizes(tokenizer):
    """Bytes of text each id stands for; none for special tokens."""
    # In the byte-level alphabet one character is one byte.
    return [
        0 if i < len(SPECIAL_TOKENS) else len(tokenizer.id_to_token(i))
        for i in range(tokenizer.get_vocab_size())
    ]


def prepare(train_texts, validation_texts, out, vocab_size):
    """Writes tokenizer.json, train.npy, validation.npy, token_sizes.npy."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(train_texts, vocab_size)
    tokenizer.save(str(out / "tokenizer.json"))
    sizes = np.array(token_sizes(tokenizer), np.int64)
    np.save(out / "token_sizes.npy", sizes)
    summary = {}
    for split, texts in (("train", train_texts), ("validation", validation_texts)):
        ids = []
        for text in texts:
            ids += tokenizer.encode(text).ids + [0]
        ids = np.array(ids, np.uint16)
        np.save(out / f"{split}.npy", ids)
        summary[split] = {"tokens": len(ids), "bytes": int(sizes[ids].sum())}
    (out / "corpus.json").write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, help="training works")
    parser.add_argument("--validation", nargs="+", required=True, help="held-out works")
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab_size", type=int, default=4096)
    arguments = parser.parse_args()
    read = lambda paths: [pathlib.Path(path).read_text("utf-8") for path in paths]
    summary = prepare(
        read(arguments.text), read(arguments.validation), arguments.out, arguments.vocab_size
    )
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
