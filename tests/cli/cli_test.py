"""The command line as its users meet it: every subcommand, wrong flags, wrong
files, and servers that start, fail, restart and stop."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import unittest
import urllib.request

from command_line import (
    DEMO, EXIT_BAD_INPUT, EXIT_PORT_IN_USE, MODELS, children_of, run, serving,
    wait_until,
)

GOLDEN = pathlib.Path(os.environ["BLOCKSERVE_GOLDEN"])
SUBCOMMANDS = ["serve", "generate", "score", "tokenize", "golden", "inspect"]


def copy_model(directory, target):
    """A copy that may be changed, of files that may be links."""
    shutil.copytree(directory, target)
    for file in pathlib.Path(target).iterdir():
        file.chmod(0o644)
    return pathlib.Path(target)


class HelpAndFlagsTest(unittest.TestCase):
    def test_every_subcommand_has_help(self):
        for command in SUBCOMMANDS:
            with self.subTest(command):
                result = run(command, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertIn("--", result.stdout)

    def test_unknown_flags_and_commands_are_refused(self):
        for arguments in (["serve", "--modle=x"], ["generate", "--temprature=1"],
                          ["inspect", "--model=x", "--nope"], ["nonsense"], []):
            with self.subTest(arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT)
                self.assertNotEqual(result.stderr, "")

    def test_bad_values_name_the_flag(self):
        for arguments, name in (
            (["serve", f"--model={DEMO}", "--port=70000"], "--port"),
            (["serve", f"--model={DEMO}", "--workers=0"], "--workers"),
            (["serve", f"--model={DEMO}", "--groups=0"], "--groups"),
            (["serve", f"--model={DEMO}", "--groups=2", "--workers=2"], "--workers"),
            (["serve", f"--model={DEMO}", "--tensor_parallel_size=65"],
             "--tensor_parallel_size"),
            (["serve", f"--model={DEMO}", "--groups=17", "--tensor_parallel_size=64"],
             "--groups times --tensor_parallel_size"),
            (["serve", f"--model={DEMO}", "--port=1", "--metrics_port=1"], "must differ"),
            (["score", "--tensor_parallel_size=0"], "--tensor_parallel_size"),
            (["generate", f"--model={DEMO}", "--prompt=a", "--dtype=int3"], "--dtype"),
            (["golden", "--case=x", "--ranks=0"], "--ranks"),
            (["generate", f"--model={DEMO}", "--prompt_ids=1,x"], "'x'"),
            (["generate", "--prompt=a"], "--server"),
        ):
            with self.subTest(arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT)
                self.assertIn(name, result.stderr)


class InspectTest(unittest.TestCase):
    def test_tells_shapes_and_sizes(self):
        report = json.loads(run("inspect", f"--model={DEMO}", "--json").stdout)
        self.assertEqual(report["family"], "block_transformer")
        self.assertEqual(report["block_length"], 4)
        # 2 (K, V) x 3 layers x 256 x 2 bytes for 4 tokens.
        self.assertEqual(report["kv_bytes_per_token"]["bf16"], 768)
        parts = report["parts"]
        self.assertEqual(sum(p["parameters"] for p in parts.values()), report["parameters"])
        self.assertEqual(parts["unused"]["parameters"], 4096 * 256)

    def test_reads_every_family(self):
        for case in sorted(GOLDEN.iterdir()):
            if case.is_dir():
                with self.subTest(case.name):
                    self.assertEqual(run("inspect", f"--model={case}").returncode, 0)

    def test_names_what_is_missing_or_broken(self):
        result = run("inspect", "--model=/nonexistent")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)
        self.assertIn("/nonexistent", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)
        with tempfile.TemporaryDirectory() as folder:
            model = copy_model(DEMO, folder + "/model")
            weights = model / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-1000])
            result = run("inspect", f"--model={model}")
            self.assertEqual(result.returncode, EXIT_BAD_INPUT)
            self.assertIn("model.safetensors", result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)


class TokenizeTest(unittest.TestCase):
    def test_there_and_back(self):
        lines = ["It was a truth", "", "naïve \u6f22\u5b57 \U0001f600\n\ttabs", "<|endoftext|>x"]
        tokenizer = f"--tokenizer={DEMO / 'tokenizer.json'}"
        text = "".join(json.dumps(line) + "\n" for line in lines)
        encoded = run("tokenize", tokenizer, text=text)
        self.assertEqual(encoded.returncode, 0, encoded.stderr)
        ids = [json.loads(line) for line in encoded.stdout.splitlines()]
        self.assertEqual(len(ids), len(lines))
        self.assertEqual(ids[3][0], 0)
        decoded = run("tokenize", tokenizer, "--decode", text=encoded.stdout)
        self.assertEqual([json.loads(line) for line in decoded.stdout.splitlines()], lines)

    def test_names_the_bad_line(self):
        tokenizer = f"--tokenizer={DEMO / 'tokenizer.json'}"
        result = run("tokenize", tokenizer, text='"fine"\nnot json\n')
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)
        self.assertIn("line 2", result.stderr)
        result = run("tokenize", tokenizer, "--decode", text="[1, 99999999]\n")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)
        result = run("tokenize", "--tokenizer=/nonexistent", text="")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)


class GoldenTest(unittest.TestCase):
    def test_passes_and_says_so_last(self):
        case = GOLDEN / "e4_expansion_4"
        for backend in ("reference", "cpu"):
            result = run("golden", f"--case={case}", f"--backend={backend}", "--dtype=fp32")
            self.assertEqual(result.returncode, 0, result.stdout[-2000:])
            self.assertRegex(result.stdout.splitlines()[-1], r"^golden: [1-9]\d* passed, 0 failed$")

    def test_fails_on_a_wrong_token(self):
        with tempfile.TemporaryDirectory() as folder:
            case = copy_model(GOLDEN / "k_vanilla", folder + "/case")
            cases = json.loads((case / "cases.json").read_text())
            cases["generate"][0]["generated"][0] ^= 1
            (case / "cases.json").write_text(json.dumps(cases))
            result = run("golden", f"--case={case}", "--dtype=fp32")
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stdout.splitlines()[-1], r"^golden: \d+ passed, [1-9]\d* failed$")

    def test_a_folder_that_is_no_case(self):
        result = run("golden", f"--case={MODELS}")
        self.assertEqual(result.returncode, EXIT_BAD_INPUT)
        self.assertEqual(result.stderr.count("\n"), 1)


class GenerateTest(unittest.TestCase):
    def test_writes_exactly_max_tokens_from_a_local_model(self):
        result = run("generate", f"--model={DEMO}", "--prompt=It was a truth", "--max_tokens=21",
                     "--temperature=0", "--ignore_eos", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        choice = json.loads(result.stdout)["choices"][0]
        self.assertEqual(len(choice["token_ids"]), 21)
        self.assertEqual(choice["finish_reason"], "length")

    def test_bad_requests_get_one_line(self):
        for flags, name in ((["--temperature=nan"], "temperature"),
                            (["--top_p=0"], "top_p"),
                            (["--max_tokens=0"], "max_tokens"),
                            (["--max_tokens=999999"], "2048")):
            with self.subTest(flags):
                result = run("generate", f"--model={DEMO}", "--prompt=a", *flags)
                self.assertEqual(result.returncode, EXIT_BAD_INPUT)
                self.assertIn(name, result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_nothing_listens(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            result = run("generate", f"--server=127.0.0.1:{port}", "--prompt=a")
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count("\n"), 1)


class ServeTest(unittest.TestCase):
    def generate(self, ready, *flags):
        result = run("generate", f"--server={ready['api']}", "--prompt=And the king said",
                     "--max_tokens=24", "--json", *flags)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["choices"][0]

    def test_serves_scores_and_stops_cleanly(self):
        with serving("--workers=2") as (process, ready):
            first = self.generate(ready, "--seed=7", "--temperature=0.8")
            again = self.generate(ready, "--seed=7", "--temperature=0.8")
            self.assertEqual(first["token_ids"], again["token_ids"])
            score = run("score", f"--server={ready['api']}", "--context=And the king",
                        "--continuation= said unto", "--json")
            self.assertEqual(score.returncode, 0, score.stderr)
            self.assertLess(json.loads(score.stdout)["total_logprob"], 0)
            with urllib.request.urlopen(ready["metrics"]) as page:
                self.assertIn(b"blockserve_router_requests_total", page.read())
            children = children_of(process.pid)
            self.assertEqual(len(children), 3)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=20), 0)
            for child in children:
                self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_starts_a_killed_worker_again(self):
        with serving() as (process, ready):
            before = self.generate(ready, "--temperature=0")
            worker = next(child for child in children_of(process.pid) if "blockserve_worker" in
                          pathlib.Path(f"/proc/{child}/cmdline").read_text())
            os.kill(worker, signal.SIGKILL)

            def served():
                return run("generate", f"--server={ready['api']}", "--prompt=a",
                           "--max_tokens=1").returncode == 0

            wait_until(lambda: not os.path.exists(f"/proc/{worker}"))
            wait_until(served)
            self.assertEqual(self.generate(ready, "--temperature=0")["token_ids"], before["token_ids"])

    def test_children_end_with_a_killed_parent(self):
        with serving() as (process, _):
            children = children_of(process.pid)
            process.kill()
            process.wait()
            wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children))

    def test_a_busy_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for flag in ("--port", "--metrics_port"):
                ports = {"--port": 0, "--metrics_port": 0, flag: port}
                result = run("serve", f"--model={DEMO}", "--host=127.0.0.1",
                             *(f"{name}={value}" for name, value in ports.items()))
                self.assertEqual(result.returncode, EXIT_PORT_IN_USE, result.stderr)
                self.assertTrue(re.search(rf"\b{port}\b", result.stderr), result.stderr)


if __name__ == "__main__":
    unittest.main()
