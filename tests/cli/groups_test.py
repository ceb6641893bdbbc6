"""`blockserve serve` with groups of ranks: they write what one rank writes, come
back when killed, and leave nothing behind."""

import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from command_line import (
    BLOCKSERVE, DEMO, children_of, run, serving, wait_until,
)

# fp32: sums of other shards differ by less than the gap between two tokens.
TWO_BY_TWO = ("--groups=2", "--tensor_parallel_size=2", "--dtype=fp32")
REQUESTS = [
    (prompt, *flags)
    for prompt in ("It was a truth", "And the king said", "Call me")
    for flags in (("--temperature=0",), ("--temperature=0.9", "--seed=11"))
]


def generate(ready, prompt, *flags, max_tokens=32):
    result = run("generate", f"--server={ready['api']}", f"--prompt={prompt}",
                 f"--max_tokens={max_tokens}", "--ignore_eos", "--json", *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["choices"][0]["token_ids"]


def metric(url, name, label=""):
    """The sum of a series' samples that carry `label`; None if there is no
    answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as page:
            text = page.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    samples = re.findall(rf"^{name}({{.*}})? (\S+)$", text, re.M)
    return sum(float(value) for labels, value in samples if label in labels)


def ranks_of(server):
    """{"group-0-rank-0": its process}."""
    found = {}
    for child in children_of(server.pid):
        try:
            line = pathlib.Path(f"/proc/{child}/cmdline").read_text()
        except OSError:
            continue
        if match := re.search(r"--worker_id=([^\0]+)", line):
            found[match[1]] = child
    return found


def flag_of(pid, name):
    line = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    return re.search(rf"--{name}=([^\0]+)", line)[1]


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


class GroupsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with serving("--dtype=fp32") as (_, ready):
            cls.expected = [generate(ready, *request) for request in REQUESTS]

    def test_two_groups_of_two_write_what_one_rank_writes(self):
        with serving(*TWO_BY_TWO) as (_, ready):
            for _ in range(2):
                got = [generate(ready, *request) for request in REQUESTS]
                self.assertEqual(got, self.expected)
            pages = ready["worker_metrics"]
            self.assertEqual(len(pages), 4)
            for leader in (pages[0], pages[2]):
                self.assertGreater(metric(leader, "blockserve_requests_total"), 0)
                self.assertEqual(metric(leader, "blockserve_rank_up"), 2)

    def test_groups_may_be_uneven_and_alone(self):
        # Three ranks deal the heads unevenly.
        for flag in ("--tensor_parallel_size=3", "--workers=2"):
            with self.subTest(flag), serving(flag, "--dtype=fp32") as (_, ready):
                self.assertEqual(
                    [generate(ready, *request) for request in REQUESTS], self.expected)

    def test_commands_that_start_a_server_take_ranks(self):
        common = (f"--model={DEMO}", "--dtype=fp32", "--tensor_parallel_size=2", "--json")
        prompt, *flags = REQUESTS[1]
        result = run("generate", *common, f"--prompt={prompt}", "--max_tokens=32",
                     "--ignore_eos", *flags)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)["choices"][0]["token_ids"], self.expected[1])
        words = ("--context=And the king", "--continuation= said unto")
        two = run("score", *common, *words)
        one = run("score", f"--model={DEMO}", "--dtype=fp32", "--json", *words)
        self.assertAlmostEqual(json.loads(two.stdout)["total_logprob"],
                               json.loads(one.stdout)["total_logprob"], places=3)

    def test_ranks_share_the_cores_and_a_secret(self):
        with serving(*TWO_BY_TWO) as (server, _):
            ranks = ranks_of(server)
            threads = {flag_of(pid, "threads") for pid in ranks.values()}
            self.assertEqual(threads, {str(max(1, len(os.sched_getaffinity(0)) // 4))})
            secrets = {name: pathlib.Path(flag_of(pid, "group_secret_file"))
                       for name, pid in ranks.items()}
            for path in secrets.values():
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            texts = {name: path.read_text() for name, path in secrets.items()}
            self.assertEqual(texts["group-0-rank-0"], texts["group-0-rank-1"])
            self.assertNotEqual(texts["group-0-rank-0"], texts["group-1-rank-0"])
            directory = secrets["group-0-rank-0"].parent
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(timeout=20), 0)
            self.assertFalse(directory.exists())

    def test_a_killed_rank_comes_back(self):
        with tempfile.TemporaryFile("w+") as log, serving(*TWO_BY_TWO, stderr=log) as (
                server, ready):
            for group, rank in ((1, 0), (0, 1)):
                leader = ready["worker_metrics"][2 * group]
                before = metric(leader, "blockserve_group_epoch")
                killed = ranks_of(server)[f"group-{group}-rank-{rank}"]
                os.kill(killed, signal.SIGKILL)

                def formed_again():
                    epoch = metric(leader, "blockserve_group_epoch")
                    return (epoch is not None and epoch > before
                            and metric(leader, "blockserve_rank_up") == 2)

                wait_until(formed_again)
                wait_until(lambda: metric(ready["metrics"], "blockserve_router_worker_health") == 2)
                self.assertFalse(is_there(killed))
                self.assertEqual(
                    [generate(ready, *request) for request in REQUESTS], self.expected)
                log.seek(0)
                self.assertIn(f"group {group} rank {rank} was ended by signal 9; "
                              "starting it again in 1s", log.read())

    def test_a_hung_rank_is_given_up_and_let_in_again(self):
        with serving(*TWO_BY_TWO, "--step_timeout=1") as (server, ready):
            health = lambda: metric(ready["metrics"], "blockserve_router_worker_health")
            wait_until(lambda: health() == 2)
            hung = ranks_of(server)["group-0-rank-1"]
            os.kill(hung, signal.SIGSTOP)
            # Sooner than with the default.
            wait_until(lambda: health() == 1, seconds=5)
            self.assertEqual(
                [generate(ready, *request) for request in REQUESTS], self.expected)
            os.kill(hung, signal.SIGCONT)
            wait_until(lambda: health() == 2)
            self.assertTrue(is_there(hung))

    def test_sigterm_lets_what_runs_end(self):
        with serving(*TWO_BY_TWO) as (server, ready):
            children = children_of(server.pid)
            self.assertEqual(len(children), 5)
            client = subprocess.Popen(
                [BLOCKSERVE, "generate", f"--server={ready['api']}", "--prompt=a",
                 "--max_tokens=1800", "--ignore_eos", "--json"],
                stdout=subprocess.PIPE, text=True)
            wait_until(lambda: sum(metric(page, "blockserve_num_requests_running")
                                   for page in ready["worker_metrics"]) == 1)
            server.send_signal(signal.SIGTERM)
            answer = json.loads(client.communicate(timeout=60)[0])
            self.assertEqual(len(answer["choices"][0]["token_ids"]), 1800)
            self.assertEqual(server.wait(timeout=20), 0)
            self.assertFalse(any(map(is_there, children)))

    def test_sigterm_while_ranks_start(self):
        server = subprocess.Popen(
            [BLOCKSERVE, "serve", f"--model={DEMO}", "--host=127.0.0.1", "--port=0",
             "--metrics_port=0", *TWO_BY_TWO],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        wait_until(lambda: children_of(server.pid))
        server.send_signal(signal.SIGTERM)
        children = children_of(server.pid)
        # No "ready": it was in time.
        self.assertEqual(server.communicate(timeout=20)[0], "")
        self.assertEqual(server.returncode, 0)
        self.assertFalse(any(map(is_there, children)))

    def test_sigterm_while_a_group_is_broken(self):
        for rank in ("group-0-rank-0", "group-0-rank-1"):
            with self.subTest(rank), serving(*TWO_BY_TWO) as (server, _):
                children = children_of(server.pid)
                os.kill(ranks_of(server)[rank], signal.SIGKILL)
                server.send_signal(signal.SIGTERM)
                self.assertEqual(server.wait(timeout=20), 0)
                self.assertFalse(any(map(is_there, children)))

    def test_ranks_end_with_a_killed_parent(self):
        with serving(*TWO_BY_TWO) as (server, _):
            children = children_of(server.pid)
            self.assertEqual(len(children), 5)
            server.kill()
            server.wait()
            wait_until(lambda: not any(map(is_there, children)))


if __name__ == "__main__":
    unittest.main()
