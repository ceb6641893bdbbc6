"""Whoever does not belong to a group stays out of it, and the group goes on
serving: 8 streams run all the time and each ends with its tokens."""

import contextlib
import os
import signal
import threading
import unittest

import grpc
import junit
import private_machine
from group_rig import GROUP_PORT, METRICS_PORT, SECRET, Rig, rank_flags
from process import Process, wait_until
from stranger import RUBBISH, Joiner, connect, pour
from streams import Streams, make_requests, reference_tokens

REQUESTS = make_requests(8, seed=3, min_tokens=100, max_tokens=200)
OTHER_SECRET = b"what a stranger takes for the secret"


class Load(contextlib.AbstractContextManager):
    """Sends REQUESTS over and over."""

    def __init__(self, client, expected):
        self._client = client
        self._expected = expected
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.problems = []
        self.num_rounds = 0
        self._thread.start()

    def _run(self):
        while not self._ending.is_set():
            streams = Streams(self._client, REQUESTS).join()
            self.problems += streams.problems(self._expected)
            self.num_rounds += 1

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()


class StrangersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Two groups, so that no stream fails while one of them forms anew.
        cls.rig = Rig(2, 2, more_hosts=["stranger"])
        cls.addClassCleanup(cls.rig.close)
        try:
            cls.rig.wait_until_serving()
        except AssertionError:
            cls.rig.print_logs()
            raise
        cls.group = cls.rig.groups[0]
        cls.stranger = cls.rig.hosts["stranger"]
        cls.expected = reference_tokens(cls.rig.client, REQUESTS)

    def setUp(self):
        self.begin_again()
        self.load = self.enterContext(Load(self.rig.client, self.expected))

    def begin_again(self):
        """From now on the group is to be undisturbed."""
        self.group_before = self.group.facts()
        self.failed_before = self.group.num_failed_requests()

    def refusals(self, reason):
        return self.group.leader.metric(
            "blockserve_group_refusals_total", reason=reason
        )

    def assert_undisturbed(self):
        """The epoch goes on, and every stream has its tokens, also those of
        this group."""
        rounds = self.load.num_rounds
        generated = self.group.generated_tokens()
        wait_until(lambda: self.load.num_rounds >= rounds + 2 and
                   self.group.generated_tokens() > generated, 60,
                   "two more rounds of streams, some of them on this group")
        self.assertEqual(self.load.problems, [])
        self.assertEqual(self.group.facts(), self.group_before)
        self.assertEqual(self.group.num_failed_requests(), self.failed_before)

    def start_rank(self, secret, name):
        """A process on the stranger's host that takes itself for rank 1."""
        secret_file = self.rig.secret_file.with_name(f"{name}.secret")
        secret_file.write_bytes(secret)
        secret_file.chmod(0o600)
        process = Process(
            name, self.stranger,
            rank_flags(self.stranger, name, 1, 2, self.group.leader.host,
                       secret_file),
            self.rig.secret_file.parent, METRICS_PORT,
        )
        self.addCleanup(process.close)
        return process

    def wait_for_log(self, process, words):
        wait_until(lambda: words in process.log(), 20,
                   f"'{words}' in the log of {process.name}")

    def test_a_rank_with_another_secret_stays_out(self):
        before = self.refusals("wrong_secret")
        process = self.start_rank(OTHER_SECRET, "wrong-secret")
        wait_until(lambda: self.refusals("wrong_secret") >= before + 2, 30,
                   "two refused attempts")
        self.wait_for_log(process, "not a rank of this group")
        self.assert_undisturbed()

    def test_a_join_by_hand_stays_out(self):
        leader = f"{self.group.leader.host.address}:{GROUP_PORT}"
        joiner = Joiner(leader)
        _, _, error = joiner.join(OTHER_SECRET)
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        # Nothing is learned from it.
        self.assertEqual(error.details(), "not a rank of this group")

        # With the secret the proof is right, and another reason is given.
        nonce, claim, error = joiner.join(SECRET)
        self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn("model fingerprint of rank 1", error.details())

        before = self.refusals("wrong_secret")
        _, _, error = joiner.join(None, nonce=nonce, claim=claim)
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED,
                         "a replayed join")
        for field, value in {"rank": 0, "last_epoch": 99,
                             "incarnation": 8}.items():
            _, _, error = joiner.join(SECRET, altered={field: value})
            self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED,
                             f"{field} changed after it was proven")
        self.assertEqual(self.refusals("wrong_secret"), before + 4)
        self.assert_undisturbed()

    def test_a_second_rank_1_waits_outside(self):
        before = self.refusals("duplicate")
        process = self.start_rank(SECRET, "duplicate")
        wait_until(lambda: self.refusals("duplicate") >= before + 2, 30,
                   "two refused attempts")
        self.wait_for_log(process, "rank 1 is there already")
        self.assert_undisturbed()

    def test_a_late_rank_of_an_old_epoch_stays_out(self):
        """Rank 1 sleeps; another process takes its place; it wakes up."""
        late = self.group.ranks[1]
        epoch = self.group.facts()["epoch"]
        replacement = self.start_rank(SECRET, "replacement")
        late.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: self.group.facts()["epoch"] > epoch, 20,
                       "an epoch with the replacement")
        finally:
            late.signal(signal.SIGCONT)
        wait_until(lambda: self.refusals("old_epoch") >= 2, 30,
                   "two refused attempts of the late rank")
        self.wait_for_log(late, "with another process at "
                          f"{self.stranger.address}")
        self.begin_again()
        self.assert_undisturbed()

        # Its place is free once the other one is gone.
        replacement.close()
        wait_until(
            lambda: self.group.facts()["epoch"] > self.group_before["epoch"],
            20, "an epoch with the late rank",
        )
        self.begin_again()
        self.assert_undisturbed()

    def test_rubbish_on_every_port_harms_nobody(self):
        ports = self.listening()
        print(f"{len(ports)} ports: {ports}", flush=True)
        # API and metrics of each process, and the control of each group.
        self.assertGreaterEqual(
            len(ports), 2 * len(self.rig.processes) + len(self.rig.groups)
        )
        for data in [*RUBBISH, os.urandom(1 << 20)]:
            for sender, address, port in ports:
                pour(connect(self.rig.hosts[sender], address, port), data)
        self.assert_undisturbed()

    def test_silent_connections_harm_nobody(self):
        for sender, address, port in self.listening():
            for _ in range(20):
                connection = connect(self.rig.hosts[sender], address, port)
                self.addCleanup(connection.close)
        self.assert_undisturbed()

    def listening(self):
        """What servers listen on, as (host that reaches it, address, port)."""
        found = []
        for process in self.rig.processes:
            host = process.host
            for address, port in sorted(host.listening()):
                if address == "0.0.0.0":
                    address = host.address
                inside = address.startswith("127.") or ":" in address
                sender = host if inside else self.stranger
                found.append((sender.name, address, port))
        return found


if __name__ == "__main__":
    junit.main(private_machine.enter())
