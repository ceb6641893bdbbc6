"""Router and a group of ranks started as the manifests start them: probes
answer, and dashboard and scrape configuration name what is really there."""

import copy
import secrets
import unittest

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import binaries
import dashboard
import manifests
import metrics
from reflection_client import Client
from servers import wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
GOOD = {"text": "Call me", "samplingParams": {"maxTokens": 24}}


def container(binary):
    return next(
        c for c in manifests.containers(manifests.render())
        if c.binary == binary
    )


class RunningTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = []
        leader = cls.start_group()
        # The manifest's flag with another address, once there is such a flag.
        ahead = binaries.CONTRACT["flags_ahead"]["blockserve_router"]
        flag = "workers" if "workers_dns" in ahead else "workers_dns"
        router = cls.start("blockserve_router", f"--{flag}={leader.address}")
        cls.client = Client(router.address)
        cls.addClassCleanup(cls.client.__exit__)
        wait_until(lambda: cls.client.health() == SERVING)
        cls.client.call("Generate", GOOD)
        try:
            cls.client.call("Generate", {**GOOD, "samplingParams": {"topP": 2}})
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        cls.series = {}
        for _, server in cls.servers:
            found = metrics.series_of(metrics.exposition(server))
            for name, labels in found.items():
                cls.series.setdefault(name, set()).update(labels)

    @classmethod
    def start(cls, binary, *flags, env=None):
        server = binaries.start(container(binary), *flags, env=env)
        cls.addClassCleanup(server.__exit__)
        cls.servers.append((binary, server.wait_for_ports()))
        return server

    @classmethod
    def start_group(cls):
        """Two ranks, told of their place as LeaderWorkerSet tells them; the
        leader is returned."""
        group = {
            "BLOCKSERVE_GROUP_SECRET": secrets.token_hex(32),
            "LWS_GROUP_SIZE": "2",
            "LWS_LEADER_ADDRESS": "127.0.0.1",
        }

        def start_rank(index, group_port):
            return cls.start(
                "blockserve_worker", "--threads=1", f"--group_port={group_port}",
                env={**group, "LWS_WORKER_INDEX": str(index)},
            )

        leader = start_rank(0, group_port=0)
        start_rank(1, group_port=leader.ports["group_port"])
        return leader

    def known(self):
        return self.series | metrics.declared(binaries.CONTRACT)

    def expression_errors(self, board):
        return [
            f"{where}: {error}"
            for where, expression in dashboard.expressions(board)
            for error in metrics.expression_errors(expression, self.known())
        ]

    def test_probes_are_answered(self):
        self.assertEqual(len(self.servers), 3)
        for binary, server in self.servers:
            with grpc.insecure_channel(server.address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                probes = list(container(binary).probes())
                self.assertEqual(len(probes), 3)
                for kind, probe in probes:
                    with self.subTest(binary=binary, kind=kind):
                        request = health_pb2.HealthCheckRequest(
                            service=probe["grpc"]["service"]
                        )
                        answer = stub.Check(request, timeout=10)
                        self.assertEqual(answer.status, SERVING)
                with self.assertRaises(grpc.RpcError):
                    stub.Check(
                        health_pb2.HealthCheckRequest(service="ready"),
                        timeout=10,
                    )

    def test_dashboard_names_series_that_are_there(self):
        board = dashboard.load()
        self.assertGreater(len(list(dashboard.expressions(board))), 40)
        self.assertEqual(self.expression_errors(board), [])

    def test_dashboard_variables_find_values(self):
        for selector, label in dashboard.variable_queries(dashboard.load()):
            self.assertEqual(
                metrics.expression_errors(selector, self.known()), []
            )
            ((name, _),) = metrics.selectors(selector)
            self.assertIn(label, self.series[name] | metrics.TARGET_LABELS)

    def test_planted_expressions_are_found(self):
        board = dashboard.load()
        panel = next(p for p in board["panels"] if p["type"] != "row")
        for expression, named in (
            ("rate(blockserve_request_total[1m])", "no series"),
            ("sum by (codes) (blockserve_requests_total)", "no label"),
            ('blockserve_requests_total{codes="OK"}', "no label"),
            ("sum by (rank) (rate(blockserve_block_step_seconds_sum[1m]))",
             "no label"),
            ("blockserve_block_step_seconds", "no series"),
            ("sum(rate(blockserve_requests_total[1m])", "unclosed"),
            ('blockserve_requests_total{job=~"$jobs"}[$jobs]', "Panel"),
            ("1", "reads nothing"),
        ):
            with self.subTest(expression=expression):
                planted = copy.deepcopy(panel)
                planted["targets"][0]["expr"] = expression
                planted["title"] = "Panel"
                errors = self.expression_errors({**board, "panels": [planted]})
                self.assertTrue(any(named in e for e in errors), errors)

    def test_declared_series_are_those_that_do_not_show(self):
        shown = set(metrics.declared(binaries.CONTRACT)) & set(self.series)
        self.assertEqual(shown, set(), "take them out of declared_series")

    def test_declared_series_are_on_the_dashboard(self):
        read = {
            name
            for _, expression in dashboard.expressions(dashboard.load())
            for name, _ in metrics.selectors(expression)
        }
        for name in binaries.CONTRACT["declared_series"]:
            with self.subTest(name=name):
                self.assertTrue(any(r.startswith(name) for r in read))

    def test_exposition_check_finds_planted_errors(self):
        good = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"
        self.assertEqual(metrics.series_of(good), {"a_total": set()})
        for text in (
            good.replace("# HELP a_total A.\n", ""),
            good.replace("a_total", "a"),
            good.replace("a_total", "vllm:a_total"),
            good.replace("counter", "counters"),
        ):
            with self.subTest(text=text), self.assertRaises(ValueError):
                metrics.series_of(text)


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.board = dashboard.load()
        self.panel = self.board["panels"][1]

    def test_structure(self):
        self.assertEqual(dashboard.structure_errors(self.board), [])

    def test_planted_errors_are_found(self):
        self.panel["fieldConfig"]["defaults"]["unit"] = "furlong"
        self.panel["datasource"] = {"type": "prometheus", "uid": "abc"}
        self.panel["id"] = self.board["panels"][2]["id"]
        self.panel["gridPos"]["x"] += 1
        self.board["schemaVersion"] = 36
        errors = "\n".join(dashboard.structure_errors(self.board))
        for named in ("furlong", "abc", "one id", "lies on", "must be 39"):
            self.assertIn(named, errors)


if __name__ == "__main__":
    unittest.main()
