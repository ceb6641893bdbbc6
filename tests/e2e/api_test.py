"""The API as any client meets it: discovered by reflection, with real tokens
from the demo model."""

import unittest

import grpc
from grpc_health.v1 import health_pb2

from reflection_client import SERVICE, Client, reason, text, token_ids
from servers import start_router, start_worker, wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
PROMPT = "It was a truth"


class ApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = start_worker()
        cls.addClassCleanup(cls.worker.__exit__)
        cls.worker.wait_for_ports()
        cls.router = start_router([cls.worker])
        cls.addClassCleanup(cls.router.__exit__)
        cls.client = Client(cls.router.address)
        cls.addClassCleanup(cls.client.__exit__)
        wait_until(lambda: cls.client.health() == SERVING)

    def test_reflection_lists_the_services(self):
        self.assertGreaterEqual(
            set(self.client.reflection.get_services()),
            {SERVICE, "grpc.health.v1.Health"},
        )
        self.assertEqual(
            [method.name for method in self.client.service.methods],
            ["Generate", "GenerateStream", "Score", "Tokenize", "Detokenize",
             "GetModel", "ListModels", "Abort"],
        )

    def test_generates_text(self):
        answer = self.client.call(
            "Generate",
            {
                "text": PROMPT,
                "samplingParams": {"temperature": 0, "maxTokens": 21},
            },
        )
        choice = answer.choices[0]
        self.assertEqual(len(choice.token_ids), 21)
        self.assertEqual(answer.usage.completion_tokens, 21)
        prompt_ids = self.client.call("Tokenize", {"text": PROMPT}).ids
        self.assertEqual(answer.usage.prompt_tokens, len(prompt_ids))
        decoded = self.client.call(
            "Detokenize", {"ids": list(choice.token_ids)}
        ).text
        self.assertEqual(choice.text, decoded)
        # English words, not rubbish.
        self.assertRegex(choice.text, r"^[\w\s,.;:'\"!?()-]+$")
        self.assertGreater(choice.text.count(" "), 8)

    def test_stream_joins_to_the_unary_answer(self):
        for sampling in (
            {"temperature": 0, "maxTokens": 30},
            {"temperature": 0.8, "topK": 50, "seed": 5, "maxTokens": 30},
            {"temperature": 1, "topP": 0.9, "seed": 6, "maxTokens": 7,
             "repetitionPenalty": 1.2, "logitBias": {"11": -5}},
        ):
            request = {"text": PROMPT, "samplingParams": sampling}
            unary = self.client.call("Generate", request).choices[0]
            for interval in (1, 10):
                messages = self.client.stream(
                    {**request, "streamInterval": interval}
                )
                self.assertEqual(token_ids(messages), list(unary.token_ids))
                self.assertEqual(text(messages), unary.text)
                self.assertEqual(messages[-1].usage.completion_tokens,
                                 sampling["maxTokens"])
                self.assertGreater(messages[-1].timings.total.nanos, 0)

    def test_ids_and_text_are_the_same_prompt(self):
        sampling = {"temperature": 0, "maxTokens": 12}
        ids = list(self.client.call("Tokenize", {"text": PROMPT}).ids)
        by_text = self.client.call(
            "Generate", {"text": PROMPT, "samplingParams": sampling}
        )
        by_ids = self.client.call(
            "Generate",
            {"inputIds": {"ids": ids}, "samplingParams": sampling},
        )
        self.assertEqual(by_text.choices[0].token_ids,
                         by_ids.choices[0].token_ids)

    def test_stop_string_cuts_exactly(self):
        request = {
            "text": PROMPT,
            "samplingParams": {"temperature": 0, "maxTokens": 60},
        }
        whole = self.client.call("Generate", request).choices[0].text
        # A word and the space before it, somewhere in the middle.
        stop = " " + whole[20:].split(" ")[1] + " "
        request["samplingParams"]["stop"] = ["\x00never", stop]
        cut = self.client.call("Generate", request).choices[0]
        self.assertEqual(cut.text, whole[: whole.index(stop)])
        self.assertEqual(cut.matched_stop.stop_string, stop)
        self.assertEqual(text(self.client.stream(request)), cut.text)
        request["samplingParams"]["includeStopStrInOutput"] = True
        kept = self.client.call("Generate", request).choices[0]
        self.assertEqual(kept.text, cut.text + stop)

    def test_stop_token_ends_the_completion(self):
        request = {
            "text": PROMPT,
            "samplingParams": {"temperature": 0, "maxTokens": 60},
        }
        whole = list(self.client.call("Generate", request).choices[0].token_ids)
        stop = whole[9]
        request["samplingParams"]["stopTokenIds"] = [stop]
        cut = self.client.call("Generate", request).choices[0]
        self.assertEqual(cut.matched_stop.stop_token_id, stop)
        first = whole.index(stop)
        self.assertEqual(list(cut.token_ids)[:first], whole[:first])
        self.assertLessEqual(len(cut.token_ids), first + 1)

    def test_choices_repeat_by_their_seeds(self):
        request = {
            "text": PROMPT,
            "samplingParams": {"n": 3, "seed": 11, "maxTokens": 16},
        }
        choices = self.client.call("Generate", request).choices
        self.assertEqual([c.index for c in choices], [0, 1, 2])
        self.assertEqual(len({tuple(c.token_ids) for c in choices}), 3)
        for choice in choices:
            alone = self.client.call(
                "Generate",
                {
                    "text": PROMPT,
                    "samplingParams": {"seed": choice.seed, "maxTokens": 16},
                },
            )
            self.assertEqual(alone.choices[0].token_ids, choice.token_ids)

    def test_logprobs_agree_with_scores(self):
        prompt = list(self.client.call("Tokenize", {"text": PROMPT}).ids)
        answer = self.client.call(
            "Generate",
            {
                "inputIds": {"ids": prompt},
                "samplingParams": {
                    "temperature": 0, "maxTokens": 12, "logprobs": 3,
                },
            },
        ).choices[0]
        self.assertEqual(len(answer.logprobs), 12)
        for logprob in answer.logprobs:
            self.assertEqual(len(logprob.top), 3)
            # Greedy: the token is the most likely one, bit for bit.
            self.assertEqual(logprob.top[0].token_id, logprob.token_id)
            self.assertEqual(logprob.top[0].logprob, logprob.logprob)
        self.assertEqual(
            "".join(logprob.token for logprob in answer.logprobs), answer.text
        )
        score = self.client.call(
            "Score",
            {
                "contextIds": {"ids": prompt},
                "continuationIds": {"ids": list(answer.token_ids)},
            },
        )
        self.assertEqual(len(score.logprobs), 12)
        self.assertTrue(score.is_greedy)
        self.assertAlmostEqual(
            score.total_logprob, sum(l.logprob for l in score.logprobs),
            delta=1e-3,
        )

    def test_score_prefers_english(self):
        def total(continuation):
            return self.client.call(
                "Score",
                {"contextText": "In the", "continuationText": continuation},
            ).total_logprob

        self.assertGreater(total(" beginning of the day"),
                           total(" zq zq zq zq zq"))

    def test_tokenizer_round_trip(self):
        for given in ("Hello, world!", "na\u00efve \u20ac \U0001f600", " \n\t x"):
            ids = list(self.client.call("Tokenize", {"text": given}).ids)
            self.assertTrue(ids)
            back = self.client.call("Detokenize", {"ids": ids}).text
            self.assertEqual(back, given)

    def test_describes_the_model(self):
        models = self.client.call("ListModels").models
        self.assertEqual(len(models), 1)
        model = self.client.call("GetModel", {"name": models[0].name}).model
        self.assertEqual(model, models[0])
        self.assertEqual(model.family, "block_transformer")
        self.assertEqual(model.block_length, 4)
        self.assertEqual(model.vocab_size, 4096)
        self.assertGreaterEqual(model.context_length, 512)
        self.assertEqual(model.worker_count, 1)

    def test_request_id_comes_back(self):
        call = self.client.call(
            "GenerateStream",
            {"text": PROMPT, "samplingParams": {"maxTokens": 1}},
            metadata=[("x-request-id", "my-id")],
        )
        self.assertEqual(dict(call.initial_metadata())["x-request-id"], "my-id")
        self.assertEqual(next(call).request_id, "my-id")

    def test_abort_ends_a_stream(self):
        stream = self.client.call(
            "GenerateStream",
            {
                "text": PROMPT, "requestId": "to-abort",
                "samplingParams": {"maxTokens": 500, "ignoreEos": True},
            },
        )
        next(stream)
        self.client.call("Abort", {"requestId": "to-abort"})
        with self.assertRaises(grpc.RpcError) as raised:
            list(stream)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.CANCELLED)
        self.assertEqual(reason(raised.exception), "ABORT_RPC")

    def test_health_of_every_name(self):
        for name in ("", "liveness", "readiness", SERVICE):
            self.assertEqual(self.client.health(name), SERVING, name)
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.health("no.such.Service")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_metrics_of_both_processes(self):
        self.client.call(
            "Generate", {"text": PROMPT, "samplingParams": {"maxTokens": 5}}
        )
        self.assertGreater(
            self.router.metric("blockserve_requests_total", code="OK"), 0
        )
        self.assertEqual(
            self.router.metric("blockserve_router_worker_health"), 1
        )
        self.assertGreater(
            self.worker.metric("blockserve_generation_tokens_total"), 4
        )


if __name__ == "__main__":
    unittest.main()
