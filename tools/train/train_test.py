"""Smoke test: trains tiny models, exports them, and lets the runtime score the
same tokens. The two implementations must agree."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402

import corpus  # noqa: E402
import train  # noqa: E402
from model import ModelOptions, make_model  # noqa: E402

BLOCKSERVE = os.environ["BLOCKSERVE_BINARY"]


def make_text(num_lines):
    """English enough for a tokenizer: sentences of a toy grammar."""
    subjects = ["the captain", "a whale", "the king", "Elizabeth", "my father"]
    verbs = ["looked upon", "spoke of", "went down to", "remembered"]
    objects = ["the sea", "the land of Egypt", "a good fortune", "the ship"]
    lines = []
    for i in range(num_lines):
        lines.append(
            f"{subjects[i % 5]} {verbs[i * 7 % 4]} {objects[i * 3 % 4]}, and "
            f"{subjects[i * 2 % 5]} {verbs[i * 5 % 4]} {objects[i % 4]}."
        )
    return "\n".join(lines) + "\n"


class TrainTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.data = os.path.join(cls.directory.name, "data")
        corpus.prepare([make_text(400)], [make_text(40)], cls.data, vocab_size=320)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def run_training(self, kind, layers, steps):
        out = os.path.join(self.directory.name, kind)
        command = [
            sys.executable, str(HERE / "train.py"), kind, "--data", self.data, "--out", out,
            "--hidden", "32", "--layers", *map(str, layers), "--length", "32", "--batch", "4",
            "--steps", str(steps), "--warmup", "5", "--eval_every", "10", "--no_compile",
            "--no_bf16",
        ]
        subprocess.run(command, check=True, capture_output=True)
        return out

    def check_scores(self, kind, layers):
        out = self.run_training(kind, layers, steps=20)
        out = self.run_training(kind, layers, steps=30)  # resumes
        results = json.loads(pathlib.Path(out, "results.json").read_text())
        history = dict(results["history"])
        self.assertEqual(sorted(history), [10, 20, 30])
        self.assertLess(history[30], history[10])

        # The weights as exported, in this implementation ...
        options = ModelOptions(vocab_size=results["vocabulary"], hidden=32, layers=tuple(layers))
        model = make_model(kind, options)
        model.load_state_dict(torch.load(os.path.join(out, "checkpoint.pt"))["model"])
        for parameter in model.parameters():
            parameter.data.copy_(parameter.data.bfloat16().float())
        model.eval()
        ids = train.load_data(self.data)["validation"][:32][None]
        with torch.no_grad():
            log_probabilities = torch.log_softmax(model(ids).float(), -1)[0]
        expected = log_probabilities.gather(1, ids[0, 4:, None])[:, 0].tolist()

        # ... and in the runtime.
        command = [
            BLOCKSERVE, "score", f"--model={out}", "--dtype=fp32", "--json",
            "--context_ids=" + ",".join(map(str, ids[0, :4].tolist())),
            "--continuation_ids=" + ",".join(map(str, ids[0, 4:].tolist())),
        ]
        scored = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        actual = [entry["logprob"] for entry in scored["logprobs"]]
        self.assertEqual(len(actual), len(expected))
        for ours, theirs in zip(actual, expected):
            self.assertAlmostEqual(ours, theirs, delta=1e-4)

    def test_block_transformer(self):
        self.check_scores("block", [1, 2])

    def test_vanilla(self):
        self.check_scores("vanilla", [2])


if __name__ == "__main__":
    unittest.main()
