"""Groups of ranks on real hosts lose a rank while streams run: every stream
ends with the tokens of an undisturbed run, and the group comes back."""

import os
import random
import time
import unittest

import junit
import private_machine
from faults import Kill, OneWayPartition, Stop, TwoWayPartition
from figures import Figures
from group_rig import Rig
from rotation import RotationWatch
from streams import Streams, make_requests, reference_tokens

NUM_GROUPS = 2
WORLD_SIZE = int(os.environ.get("BLOCKSERVE_FAULT_WORLD_SIZE", "2"))
# Which repeats of each fault, "FIRST:END".
REPEATS = range(*map(
    int, os.environ.get("BLOCKSERVE_FAULT_REPEATS", "0:5").split(":")
))
BACK_LIMIT = 5.0  # seconds
MAX_FAILURES = 2  # of one fault; then the rest of it is left out
# Longer than it takes to find out a silent rank.
REQUESTS = make_requests(32, seed=1, min_tokens=120, max_tokens=400)
SHORT_REQUESTS = make_requests(8, seed=2, min_tokens=8, max_tokens=24)


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.figures = Figures("Seconds until the group was out, and was back")
        cls.addClassCleanup(lambda: cls.figures.write("faults"))
        cls.addClassCleanup(lambda: cls.stop_rig())
        cls.start_rig()
        cls.expected = reference_tokens(cls.rig.client, REQUESTS)
        cls.short_expected = reference_tokens(cls.rig.client, SHORT_REQUESTS)

    @classmethod
    def start_rig(cls):
        cls.rig = Rig(NUM_GROUPS, WORLD_SIZE)
        cls.rotation = RotationWatch(cls.rig)
        try:
            cls.rig.wait_until_serving()
        except AssertionError:
            cls.rig.print_logs()
            cls.stop_rig()
            raise

    @classmethod
    def stop_rig(cls):
        cls.rotation.close()
        cls.rig.close()

    def test_1_undisturbed_streams_repeat(self):
        started = time.monotonic()
        streams = Streams(self.rig.client, REQUESTS).join()
        self.figures.add("undisturbed", streams=time.monotonic() - started)
        self.assertEqual(streams.problems(self.expected), [])
        for group in self.rig.groups:
            self.assertEqual(self.rotation.dips(group, started), 0)

    def test_2_kill(self):
        self.repeat(Kill)

    def test_3_stop(self):
        self.repeat(Stop)

    def test_4_one_way_partition(self):
        self.repeat(OneWayPartition)

    def test_5_two_way_partition(self):
        self.repeat(TwoWayPartition)

    def repeat(self, fault_class):
        failures = 0
        for repeat in REPEATS:
            group = self.rig.groups[repeat // 4 % NUM_GROUPS]
            rank = group.ranks[repeat % WORLD_SIZE]
            fault = fault_class(self.rig, group, rank, repeat)
            with self.subTest(fault=str(fault), repeat=repeat):
                try:
                    self.run_fault(fault)
                    continue
                except Exception:
                    failures += 1
                    print(f"FAILED: {fault}, repeat {repeat}", flush=True)
                    self.rig.print_logs()
                    # What it left behind is not to hide what comes next.
                    self.stop_rig()
                    self.start_rig()
                    raise
            if failures == MAX_FAILURES:
                self.fail(f"{failures} repeats failed: the rest is left out")

    def run_fault(self, fault):
        hurt = fault.group
        others = [g for g in self.rig.groups if g is not hurt]
        before = [(g.facts(), g.num_failed_requests()) for g in others]
        resumes = self.resumes()
        streams = Streams(self.rig.client, REQUESTS)
        streams.wait_until_all_began()
        # At another moment of the streams each time.
        time.sleep(random.Random(fault.repeat).uniform(0, 0.3))
        self.assertGreater(
            hurt.leader.metric("blockserve_num_requests_running"), 0,
            "the fault would hit no stream",
        )

        began = fault.begin()
        out = self.rotation.wait_for(hurt, False, began, 20)
        num_running = streams.num_running()
        ended = fault.end()
        back_too_early = fault.lasts and out is not None and (
            self.rotation.wait_for(hurt, True, began + out, ended - began - out)
        )
        back = out and self.time_until_back(hurt, began + out, ended)
        streams.join()
        done = time.monotonic()

        self.assertEqual(streams.problems(self.expected), [])
        self.assertIsNotNone(out, "the group stayed in rotation")
        self.assertIsNotNone(back, "the group did not come back")
        print(f"{fault}: out {out:.3f} s, back {back:.3f} s, streams "
              f"{done - began:.1f} s, {num_running} of them ran when it was "
              f"out, {self.resumes() - resumes:.0f} resumed", flush=True)
        self.figures.add(fault.name, out=out, back=back, streams=done - began,
                         resumed=self.resumes() - resumes)
        self.assertFalse(back_too_early, "back before the fault's end")
        self.assert_unhurt(others, before, began)
        self.assert_serves(hurt)
        self.assertGreater(self.resumes(), resumes, "the fault hit no stream")
        self.assertLessEqual(out, fault.out_limit)
        self.assertLessEqual(back, BACK_LIMIT)

    def time_until_back(self, group, out_at, can_be_from):
        since = max(out_at, can_be_from)
        seconds = self.rotation.wait_for(group, True, since, 30)
        return None if seconds is None else since + seconds - can_be_from

    def resumes(self):
        return self.rig.router.metric("blockserve_router_resumes_total")

    def assert_unhurt(self, groups, before, since):
        for group, (facts, failed_requests) in zip(groups, before):
            self.assertEqual(self.rotation.dips(group, since), 0, group.name)
            self.assertEqual(group.facts(), facts, group.name)
            self.assertEqual(group.num_failed_requests(), failed_requests,
                             group.name)

    def assert_serves(self, group):
        """That `group` is not only said to be back."""
        generated = group.generated_tokens()
        streams = Streams(self.rig.client, SHORT_REQUESTS).join()
        self.assertEqual(streams.problems(self.short_expected), [])
        self.assertGreater(group.generated_tokens(), generated)


if __name__ == "__main__":
    junit.main(private_machine.enter())
