"""Bad input and overload: the right status and details, nothing disturbed."""

import json
import unittest

import grpc
from grpc_health.v1 import health_pb2

from reflection_client import Client, details, reason, trailer
from servers import start_router, start_worker, wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
IDS = {"ids": [5, 6, 7]}


class ErrorsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = start_worker()
        cls.addClassCleanup(cls.worker.__exit__)
        cls.worker.wait_for_ports()
        cls.router = start_router(
            [cls.worker], "--max_outstanding_requests=16",
            "--max_message_bytes=1048576",
        )
        cls.addClassCleanup(cls.router.__exit__)
        cls.client = Client(cls.router.address)
        cls.addClassCleanup(cls.client.__exit__)
        wait_until(lambda: cls.client.health() == SERVING)

    def tearDown(self):
        # Whatever was sent, a good request is still served.
        answer = self.client.call(
            "Generate", {"inputIds": IDS, "samplingParams": {"maxTokens": 4}}
        )
        self.assertEqual(len(answer.choices[0].token_ids), 4)

    def error_of(self, method, request, **options):
        with self.assertRaises(grpc.RpcError) as raised:
            answer = self.client.call(method, request, **options)
            if method == "GenerateStream":
                list(answer)
        return raised.exception

    def assert_refused(self, request, *fields):
        """Both methods refuse `request`, naming exactly `fields`."""
        for method in ("Generate", "GenerateStream"):
            error = self.error_of(method, request)
            self.assertEqual(
                error.code(), grpc.StatusCode.INVALID_ARGUMENT, error
            )
            found = details(error)
            self.assertEqual(found["ErrorInfo"].domain, "blockserve")
            violations = found["BadRequest"].field_violations
            self.assertEqual([v.field for v in violations], list(fields))
            for violation in violations:
                self.assertTrue(violation.description)

    def test_bad_sampling_parameters(self):
        for name, value in (
            ("temperature", "NaN"), ("temperature", -0.5),
            ("temperature", 2.5), ("temperature", "Infinity"),
            ("topP", 0), ("topP", 2), ("topP", "NaN"), ("topK", -2),
            ("minP", -0.1), ("minP", 1.1), ("presencePenalty", 3),
            ("frequencyPenalty", -3), ("repetitionPenalty", 0),
            ("repetitionPenalty", "Infinity"), ("maxTokens", 0),
            ("minTokens", 17), ("logprobs", -1), ("logprobs", 21), ("n", 0),
            ("n", 17), ("n", 1000000000), ("stopTokenIds", [4096]),
            ("stop", ["x"] * 65), ("logitBias", {"4096": 1}),
            ("logitBias", {"5": "NaN"}),
        ):
            with self.subTest(name=name, value=value):
                snake = "".join(
                    "_" + c.lower() if c.isupper() else c for c in name
                )
                self.assert_refused(
                    {"inputIds": IDS, "samplingParams": {name: value}},
                    f"sampling_params.{snake}",
                )

    def test_every_violation_is_named(self):
        self.assert_refused(
            {
                "inputIds": {"ids": [1, 4096]},
                "samplingParams": {
                    "temperature": "NaN", "topP": 0, "stop": ["ok", ""],
                },
            },
            "sampling_params.temperature", "sampling_params.top_p",
            "sampling_params.stop[1]", "input_ids.ids[1]",
        )

    def test_a_million_stop_strings(self):
        error = self.error_of(
            "Generate",
            {"inputIds": IDS, "samplingParams": {"stop": ["x"] * 300000}},
        )
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_empty_prompts(self):
        self.assert_refused({}, "prompt")
        self.assert_refused({"text": ""}, "text")
        self.assert_refused({"inputIds": {}}, "input_ids")

    def test_greedy_has_one_choice(self):
        self.assert_refused(
            {"inputIds": IDS, "samplingParams": {"temperature": 0, "n": 2}},
            "sampling_params.n",
        )

    def test_context_length_at_the_boundary(self):
        limit = self.client.call("ListModels").models[0].context_length
        sampling = {"maxTokens": 8}
        ids = [5] * (limit - 8)
        answer = self.client.call(
            "Generate", {"inputIds": {"ids": ids}, "samplingParams": sampling}
        )
        self.assertEqual(len(answer.choices[0].token_ids), 8)
        for extra in (1, 4):
            error = self.error_of(
                "Generate",
                {
                    "inputIds": {"ids": ids + [5] * extra},
                    "samplingParams": sampling,
                },
            )
            info = details(error)["ErrorInfo"]
            self.assertEqual(info.reason, "CONTEXT_LENGTH_EXCEEDED")
            self.assertEqual(info.metadata["limit"], str(limit))
            self.assertEqual(info.metadata["given"], str(limit + extra))

    def test_unknown_model(self):
        for method in ("Generate", "GenerateStream", "Score", "Tokenize",
                       "Detokenize"):
            error = self.error_of(method, {"model": "nobody"})
            self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
            found = details(error)
            self.assertEqual(found["ErrorInfo"].reason, "MODEL_NOT_FOUND")
            self.assertEqual(found["ResourceInfo"].resource_name, "nobody")

    def test_bad_scores(self):
        error = self.error_of(
            "Score", {"contextIds": {"ids": [4096]}, "topLogprobs": 21}
        )
        self.assertEqual(
            [v.field for v in details(error)["BadRequest"].field_violations],
            ["context_ids.ids[0]", "continuation", "top_logprobs"],
        )

    def test_rubbish_bytes(self):
        for data in (
            b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x02\xff\xfe",
        ):
            with self.assertRaises(grpc.RpcError) as raised:
                self.client.call_raw("Generate", data)
            # gRPC 1.51's callback server answers UNIMPLEMENTED to what it
            # cannot parse; newer ones INTERNAL.
            self.assertIn(
                raised.exception.code(),
                (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED),
            )

    def test_message_above_the_limit(self):
        error = self.error_of("Tokenize", {"text": "x" * 1100000})
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIsNone(trailer(error, "grpc-retry-pushback-ms"))
        self.client.call("Tokenize", {"text": "x " * 500000})

    def test_overload_is_refused_with_a_hint(self):
        request = {
            "inputIds": IDS,
            "samplingParams": {"maxTokens": 500, "ignoreEos": True, "n": 16},
        }
        stream = self.client.call("GenerateStream", request)
        next(stream)
        error = self.error_of("Generate", {"inputIds": IDS})
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        found = details(error)
        self.assertEqual(found["ErrorInfo"].reason, "QUEUE_FULL")
        self.assertEqual(found["QuotaFailure"].violations[0].subject,
                         "outstanding_requests")
        self.assertGreater(found["RetryInfo"].retry_delay.ToMilliseconds(), 0)
        self.assertGreater(int(trailer(error, "grpc-retry-pushback-ms")), 0)
        stream.cancel()
        wait_until(
            lambda: self.router.metric("blockserve_router_worker_inflight") == 0
        )

    def test_time_limit_of_the_server(self):
        limit = self.client.call("ListModels").models[0].context_length
        request = {
            "inputIds": IDS, "requestId": "too-long",
            "samplingParams": {
                "n": 16, "maxTokens": limit - 3, "ignoreEos": True,
            },
        }
        with start_router(
            [self.worker], "--max_request_duration=300ms"
        ) as router, Client(router.address) as client:
            wait_until(lambda: client.health() == SERVING)
            with self.assertRaises(grpc.RpcError) as raised:
                client.call("Generate", request)
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn(reason(error), ("GENERATION_TIMEOUT", "QUEUE_TIMEOUT"))
        self.assertEqual(details(error)["RequestInfo"].request_id, "too-long")
        usage = json.loads(trailer(error, "x-blockserve-usage"))
        self.assertEqual(usage["prompt_tokens"], 3)
        self.assertLess(usage["completion_tokens"], 16 * (limit - 3))

    def test_past_deadline_does_no_work(self):
        before = self.worker.metric("blockserve_prompt_tokens_total")
        error = self.error_of("Generate", {"inputIds": IDS}, timeout=-1)
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertEqual(
            self.worker.metric("blockserve_prompt_tokens_total"), before
        )

    def test_router_without_tokenizer_serves_ids_only(self):
        with start_router([self.worker], tokenizer=False) as router:
            with Client(router.address) as client:
                wait_until(lambda: client.health() == SERVING)
                answer = client.call(
                    "Generate",
                    {"inputIds": IDS, "samplingParams": {"maxTokens": 4}},
                )
                self.assertEqual(len(answer.choices[0].token_ids), 4)
                with self.assertRaises(grpc.RpcError) as raised:
                    client.call("Generate", {"text": "hello"})
                self.assertEqual(
                    raised.exception.code(),
                    grpc.StatusCode.FAILED_PRECONDITION,
                )
                self.assertEqual(reason(raised.exception), "FEATURE_DISABLED")


if __name__ == "__main__":
    unittest.main()
