"""`blockserve plan`: its table, its flags, and that it agrees with an
independent model of the same arithmetic, where that one is at hand."""

import importlib.util
import json
import os
import pathlib
import tempfile
import unittest

import junit
from command_line import DEMO, EXIT_BAD_INPUT, run

OURS = {
    "vanilla_31": "vanilla 31M (6x256)",
    "vanilla_70": "vanilla 70M (6x512)",
    "vanilla_160": "vanilla 160M (12x768)",
    "vanilla_410": "vanilla 410M (24x1024)",
    "block_main_b4_5": "block b4_5",
    "block_main_b4_19": "block b4_19",
    "block_main_b4_85": "block b4_85",
    "block_main_b4_300": "block b4_300",
    "block_main_b4_800": "block b4_800",
    "block_main_b4_1.2b": "block b4_1.2b",
    "block_megabyte_b4_85": "megabyte b4_85",
}
SETTINGS = [(2048, 128), (128, 2048)]
BOUNDS = {"memory": "hbm", "exchange": "comm"}


def plan(*arguments):
    """Runs `plan`; returns (stdout, JSON)."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "plan.json"
        result = run("plan", f"--json={file}", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout, json.loads(file.read_text())


def independent_model():
    script = pathlib.Path(os.environ.get("BLOCKSERVE_SHARED_DIR", "/nonexistent")) / "roofline.py"
    if not script.exists():
        raise unittest.SkipTest("no BLOCKSERVE_SHARED_DIR with roofline.py")
    spec = importlib.util.spec_from_file_location("roofline", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AgreementTest(unittest.TestCase):
    def setUp(self):
        self.theirs = independent_model()
        self.models = {model.name: model for model in self.theirs.MODELS}

    def assert_same_rate(self, rate, expected):
        self.assertAlmostEqual(rate["tokens_per_second"] / expected["tput"], 1, places=6)
        for name, share in rate["shares"].items():
            self.assertAlmostEqual(share, expected["frac"][BOUNDS.get(name, name)], places=6)

    def test_one_gpu_at_the_batch_that_fits(self):
        for ours, name in OURS.items():
            for gpu in ("a100", "h100", "h200"):
                for prompt, new in SETTINGS:
                    with self.subTest(ours, gpu=gpu, prompt=prompt):
                        _, got = plan(f"--random={ours}", f"--gpu={gpu}", f"--prefill={prompt}",
                                      f"--decode={new}")
                        model = self.models[name]
                        expected = self.theirs.run(model, gpu.upper(), prompt, new)
                        (layout,) = got["layouts"]
                        self.assertEqual(layout["max_batch_per_group"], expected["b"])
                        self.assert_same_rate(layout["full"], expected)
                        self.assertAlmostEqual(got["parameters"], sum(model.parts.values()))
                        context = prompt + new / 2
                        self.assertAlmostEqual(got["flop_per_token"] / model.flop_token(context), 1)
                        self.assertAlmostEqual(
                            got["read_bytes_per_token"] / model.kv_read_token(context), 1)

    def test_groups_and_hybrids_at_every_batch(self):
        for ours in ("block_main_b4_85", "block_main_b4_1.2b", "vanilla_410"):
            model = self.models[OURS[ours]]
            _, got = plan(f"--random={ours}", "--gpu=h100", "--gpus=4")
            for layout in got["layouts"]:
                ranks, groups = layout["ranks"], layout["groups"]
                for rate in layout["regimes"]:
                    batch = -(-rate["batch"] // groups)
                    with self.subTest(ours, layout=layout["sharing"], ranks=ranks, batch=batch):
                        if layout["sharing"] == "hybrid":
                            seconds, tokens = self.theirs.step_hybrid(
                                model, "H100", batch, 1152, ranks)
                            self.assertAlmostEqual(
                                rate["seconds_per_token"] / (seconds / tokens * batch), 1)
                            continue
                        expected = self.theirs.run(model, "H100", 128, 2048, tp=ranks, b=batch)
                        scale = rate["batch"] / batch
                        expected["tput"] *= scale
                        self.assert_same_rate(rate, expected)

    def test_assumptions_can_be_changed_alike(self):
        self.theirs.LOGITS = 0
        _, got = plan("--random=block_main_b4_5", "--sampling=fused", "--efficiency=0.6",
                      "--launch_us=5")
        expected = self.theirs.run(self.models["block b4_5"], "H100", 128, 2048, eff=0.6,
                                   launch=5e-6)
        self.assert_same_rate(got["layouts"][0]["full"], expected)


class PlanTest(unittest.TestCase):
    def test_prints_layouts_regimes_and_assumptions(self):
        table, got = plan("--random=block_main_b4_85", "--gpu=h100", "--gpus=8")
        for words in ("computed, not measured", "replicas x8", "4 x tensor of 2",
                      "2 x hybrid of 4", "left out: tensor x8: 12 heads", "assumed:",
                      "989 TFLOP/s", "ms/token"):
            self.assertIn(words, table)
        self.assertEqual(got["kind"], "computed")
        best = max(got["layouts"], key=lambda layout: layout["full"]["tokens_per_second"])
        self.assertEqual(best["sharing"], "replicas")

    def test_plans_for_a_checkpoint(self):
        table, got = plan(f"--model={DEMO}", "--gpu=l40s")
        self.assertIn("L40S", table)
        self.assertGreater(got["layouts"][0]["max_batch_per_group"], 1)

    def test_says_where_a_model_does_not_fit(self):
        table, got = plan("--random=block_main_b4_1.2b", "--prefill=16000000",
                          "--decode=16000000")
        self.assertIn("does not fit", table)
        self.assertIsNone(got["layouts"][0]["full"])

    def test_has_help(self):
        result = run("plan", "--help")
        self.assertEqual(result.returncode, 0)
        for flag in ("--gpu", "--gpus", "--prefill", "--decode", "--efficiency", "b200"):
            self.assertIn(flag, result.stdout)

    def test_bad_values_are_named_with_what_was_expected(self):
        random = "--random=block_main_b4_5"
        for arguments, *words in (
            ([], "--model", "--random"),
            (["--random=b4_85"], "block_main_b4_85", '"b4_85"'),
            ([random, "--gpu=h1000"], "h200", '"h1000"'),
            ([random, "--gpus=0"], "--gpus"),
            ([random, "--efficiency=2"], "--efficiency"),
            ([random, "--launch_us=-1"], "--launch_us"),
            ([random, f"--model={DEMO}"], "--random", "--model"),
            ([random, "--json=/nonexistent/plan.json"], "--json"),
            (["--model=/nonexistent"], "/nonexistent"),
        ):
            with self.subTest(arguments):
                result = run("plan", *arguments)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT, result.stderr)
                for word in words:
                    self.assertIn(word, result.stderr)


if __name__ == "__main__":
    junit.main()
