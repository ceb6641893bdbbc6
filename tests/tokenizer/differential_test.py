"""Compares the tokenizer with PyPI tokenizers on random and nasty strings.

    differential_test.py --binary=TOKENIZE_LINES --tokenizer=FILE [--tokenizer=FILE] [--count=N] [--seed=S] [--variants]

GPT-NeoX's own tokenizer is added if the folder BLOCKSERVE_SHARED_DIR has it.

For each file: N strings are encoded by both, the ids must be equal; the ids,
and N lists of random ids, are decoded by both, the texts must be equal. Every
fourth list keeps special tokens. --variants adds files that are made from the
first one and exercise what it does not use, with a twentieth of the strings
each, and one whose ids show every boundary between words, with a string for
each code point (with N < 100000 a part of the empty planes is left out).
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import tokenizers
from text_generator import TextGenerator, every_code_point

BATCH = 20000
SHOWN = 5  # differences


class Differences:
    def __init__(self):
        self.count = 0

    def add(self, request, expected, got):
        self.count += 1
        if self.count <= SHOWN:
            print(f"DIFFERENT {request}\n  PyPI tokenizers: {expected}\n  blockserve:      {got}")


def ask(binary, tokenizer_file, requests, oracle):
    """The answers of the binary; `oracle` runs meanwhile and its result comes too."""
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as answered:
        asked.write("\n".join(requests) + "\n")
        asked.seek(0)
        process = subprocess.Popen([binary, tokenizer_file], stdin=asked, stdout=answered)
        expected = oracle()
        if process.wait() != 0:
            sys.exit(f"{binary} {tokenizer_file} ended with {process.returncode}")
        answered.seek(0)
        answers = answered.read().split("\n")[:-1]  # splitlines() knows more ends
    if len(answers) != len(requests):
        sys.exit(f"{len(requests)} requests, {len(answers)} answers")
    return answers, expected


def dump(value):
    return json.dumps(value, separators=(",", ":"))


def compare_encoding(binary, file, oracle, texts, differences):
    requests = [dump(text) for text in texts]
    answers, expected = ask(binary, file, requests,
                            lambda: [e.ids for e in oracle.encode_batch_fast(texts, add_special_tokens=False)])
    for request, answer, ids in zip(requests, answers, expected):
        if answer != dump(ids):
            differences.add(request, ids, answer)
    return expected


def compare_decoding(binary, file, oracle, id_lists, differences):
    skip = [i % 4 != 0 for i in range(len(id_lists))]
    requests = [dump({"ids": ids, "skip_special": s}) for ids, s in zip(id_lists, skip)]

    def expect():
        texts = [None] * len(id_lists)
        for wanted in (True, False):
            indices = [i for i, s in enumerate(skip) if s == wanted]
            decoded = oracle.decode_batch([id_lists[i] for i in indices], skip_special_tokens=wanted)
            for i, text in zip(indices, decoded):
                texts[i] = text
        return texts

    answers, expected = ask(binary, file, requests, expect)
    for request, answer, text in zip(requests, answers, expected):
        if json.loads(answer) != text:
            differences.add(request, repr(text), answer)


def random_id_lists(rng, oracle, count):
    """Ids of all kinds; half of them single bytes, which seldom make a text."""
    vocab = oracle.get_vocab(with_added_tokens=True)
    byte_ids = [id for token, id in vocab.items() if len(token) == 1]
    special_ids = [id for id, token in oracle.get_added_tokens_decoder().items()] or [0]
    size = max(vocab.values()) + 1
    lists = []
    for _ in range(count):
        ids = []
        for _ in range(rng.randint(0, 16)):
            kind = rng.random()
            ids.append(rng.choice(byte_ids) if kind < 0.5 else
                       rng.choice(special_ids) if kind < 0.55 else rng.randrange(size))
        lists.append(ids)
    return lists


def compare(binary, file, count, seed, texts=None):
    """`texts` are encoded only, in the place of `count` random ones."""
    oracle = tokenizers.Tokenizer.from_file(file)
    oracle.no_truncation()
    oracle.no_padding()
    started = time.monotonic()
    rng = random.Random(seed)
    added = [token.content for token in oracle.get_added_tokens_decoder().values()]
    vocab_size = max(oracle.get_vocab(with_added_tokens=True).values()) + 1
    generator = TextGenerator(seed, added, [oracle.decode([i]) for i in range(vocab_size)])
    texts = texts or [generator.text() for _ in range(count)]
    differences = Differences()
    for begin in range(0, len(texts), BATCH):
        batch = texts[begin:begin + BATCH]
        ids = compare_encoding(binary, file, oracle, batch, differences)
        if count == 0:
            continue
        compare_decoding(binary, file, oracle, ids, differences)
        compare_decoding(binary, file, oracle, random_id_lists(rng, oracle, len(batch)), differences)
    num_bytes = sum(len(text.encode()) for text in texts)
    print(f"{file}: {len(texts)} strings ({num_bytes} bytes) encoded, {2 * count} id lists decoded, "
          f"{differences.count} differences, {time.monotonic() - started:.1f} s", flush=True)
    return differences.count


def added_token(id, content, **flags):
    token = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": id, "content": content, **token, **flags}


def variants(file):
    """Tokenizers that use what the models at hand do not."""
    base = json.loads(pathlib.Path(file).read_text())
    size = len(base["model"]["vocab"])

    def variant(**changes):
        document = json.loads(json.dumps(base))
        for key, value in changes.items():
            part, _, field = key.partition("__")
            if field:
                document[part][field] = value
            else:
                document[part] = value
        return document

    contents = ["[sw]", "<l>", "<r>", "<lr>", "  ", " x", "word", "a\u0301", "\u00e9", "e\u0301\u0323", "the", "the end",
                "<n>", "\u2028", "A\u030a", "q\u0301", "\u0301", "<|end", "<s>\u00df"]
    flags = [{}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True},
             {"single_word": True, "lstrip": True, "rstrip": True}]
    many = []
    for salt, _ in enumerate(flags):
        tokens = list(base["added_tokens"])
        for i, content in enumerate(contents):
            id = base["model"]["vocab"].get(content)
            if id is None:
                id = size + sum(t["id"] >= size for t in tokens)
            token = added_token(id, content, normalized=(i + salt) % 2 == 0, special=(i + salt) % 3 == 0,
                                **flags[(i + salt) % len(flags)])
            if content.isspace() and token["lstrip"]:
                token["rstrip"] = True  # else PyPI tokenizers panics behind an rstrip token
            tokens.append(token)
        many.append(tokens)
    for salt, tokens in enumerate(many):
        yield f"added_tokens_{salt}", variant(added_tokens=tokens)
    yield "added_tokens_without_nfc", variant(added_tokens=many[0], normalizer=None)
    yield "prefix_space", variant(pre_tokenizer__add_prefix_space=True, added_tokens=many[1])
    yield "one_word", variant(pre_tokenizer__use_regex=False)
    yield "one_word_prefix_space", variant(pre_tokenizer__use_regex=False, pre_tokenizer__add_prefix_space=True)
    yield "ignore_merges", variant(model__ignore_merges=True, model__merges=base["model"]["merges"][::2])
    yield "merges_as_pairs", variant(model__merges=[m.split(" ") if isinstance(m, str) else m
                                                    for m in base["model"]["merges"]])
    shuffled = list(base["model"]["merges"])
    random.Random(1).shuffle(shuffled)  # ranks that do not rise with length
    yield "merges_shuffled", variant(model__merges=shuffled)
    # Ids with a hole, and bytes that have no token.
    vocab = dict(base["model"]["vocab"])
    for token in ("Q", "Ġ", "Ģ"):
        vocab.pop(token)
    merges = [m for m in base["model"]["merges"] if all(t in vocab for t in (m.split(" ") if isinstance(m, str) else m))]
    yield "missing_bytes", variant(model__vocab=vocab, model__merges=merges)


def boundary_tokenizer(file):
    """Each byte merges with the characters that every_code_point() puts beside
    it, so the ids tell whether these are in one word with it."""
    document = json.loads(pathlib.Path(file).read_text())
    alphabet = sorted(t for t in document["model"]["vocab"] if len(t) == 1)
    assert len(alphabet) == 256
    neighbours = ["a", "1", ".", "Ġ", "o"]
    merges = [pair for byte in alphabet for n in neighbours for pair in ([n, byte], [byte, n])]
    tokens = alphabet + sorted({left + right for left, right in merges})
    document["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
    document["model"]["merges"] = merges
    document["added_tokens"] = []
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tokenizer", action="append", required=True)
    parser.add_argument("--count", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", action="store_true")
    args = parser.parse_args()
    if os.environ.get("BLOCKSERVE_SHARED_DIR"):
        neox = pathlib.Path(os.environ["BLOCKSERVE_SHARED_DIR"]) / "tokenizer" / "gpt_neox_20b.tokenizer.json"
        if neox.exists():
            args.tokenizer.append(str(neox))
    print(f"PyPI tokenizers {tokenizers.__version__}")
    failed = sum(compare(args.binary, file, args.count, args.seed) for file in args.tokenizer)
    if args.variants:
        with tempfile.TemporaryDirectory() as folder:
            for i, (name, document) in enumerate(variants(args.tokenizer[0])):
                file = pathlib.Path(folder) / f"{name}.json"
                file.write_text(json.dumps(document))
                failed += compare(args.binary, str(file), max(args.count // 20, 1), args.seed + i)
            file = pathlib.Path(folder) / "boundaries.json"
            file.write_text(json.dumps(boundary_tokenizer(args.tokenizer[0])))
            failed += compare(args.binary, str(file), 0, args.seed, every_code_point(sparse=args.count < 100000))
    print(f"{failed} differences")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
