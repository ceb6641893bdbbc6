"""Scrape configurations: only keys that Prometheus knows, the ports that the
binaries have, the labels that the manifests have."""

import copy
import unittest

import jsonschema

import binaries
import manifests
import metrics

FOLDER = manifests.DEPLOY / "prometheus"
STATIC, KUBERNETES = (
    FOLDER / name for name in ("prometheus.yml", "prometheus-kubernetes.yml")
)
BINARY_OF_JOB = {
    "blockserve-router": "blockserve_router",
    "blockserve-worker": "blockserve_worker",
}


def closed(required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


DURATION = {"type": "string", "pattern": "^[0-9]+s$"}
TEXT = {"type": "string", "minLength": 1}
# Of Prometheus' configuration what this project uses; more is added here first.
SCHEMA = closed(
    "global scrape_configs",
    **{"global": closed(
        "scrape_interval scrape_timeout",
        scrape_interval=DURATION,
        scrape_timeout=DURATION,
    )},
    scrape_configs={"type": "array", "minItems": 1, "items": closed(
        "job_name",
        job_name={"enum": sorted(BINARY_OF_JOB)},
        static_configs={"type": "array", "items": closed(
            "targets",
            targets={"type": "array", "items": {"pattern": "^[a-z.]+:[0-9]+$"}},
        )},
        kubernetes_sd_configs={"type": "array", "items": closed(
            "role selectors",
            role={"const": "pod"},
            selectors={"type": "array", "items": closed(
                "role label", role={"const": "pod"}, label=TEXT
            )},
        )},
        relabel_configs={"type": "array", "items": closed(
            "source_labels",
            source_labels={"type": "array", "items": {
                "enum": [
                    "__meta_kubernetes_namespace",
                    "__meta_kubernetes_pod_container_port_name",
                    "__meta_kubernetes_pod_label_leaderworkerset_sigs_k8s_io"
                    "_group_index",
                    "__meta_kubernetes_pod_name",
                ],
            }},
            regex=TEXT,
            action={"enum": ["keep"]},
            target_label={"enum": sorted(metrics.TARGET_LABELS)},
        )},
    )},
)


def schema_errors(config):
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [
        f"{error.json_path}: {error.message}"
        for error in validator.iter_errors(config)
    ]


def static_errors(config, known_flags):
    """Targets have the binaries' default ports."""
    errors = []
    for job in config["scrape_configs"]:
        flags = known_flags[BINARY_OF_JOB[job["job_name"]]]
        for static in job["static_configs"]:
            for target in static["targets"]:
                if target.rpartition(":")[2] != flags["metrics_port"]:
                    errors.append(f"{target} is not --metrics_port's default")
    return errors


def kubernetes_errors(config, objects):
    """Each job finds all pods of its binary and no others, at the port that
    the network policies open to it."""
    errors = []
    for job in config["scrape_configs"]:
        (discovery,) = job["kubernetes_sd_configs"]
        (selector,) = discovery["selectors"]
        wanted = dict(t.split("=") for t in selector["label"].split(","))
        for pod in manifests.pods(objects):
            container = pod.containers[0]
            found = manifests.matches({"matchLabels": wanted}, pod.labels)
            if found != (container.binary == BINARY_OF_JOB[job["job_name"]]):
                errors.append(f"{job['job_name']}: {pod.name} found: {found}")
            kept = [
                rule["regex"] for rule in job["relabel_configs"]
                if rule.get("action") == "keep"
            ]
            if found and kept != [n for n in container.ports if n == "metrics"]:
                errors.append(f"{job['job_name']}: ports {kept} of {pod.name}")
    return errors


class PrometheusTest(unittest.TestCase):
    def setUp(self):
        self.static = manifests.load(STATIC)
        self.kubernetes = manifests.load(KUBERNETES)
        self.objects = manifests.render()
        self.flags = binaries.known_flags()

    def test_nothing_is_wrong(self):
        self.assertEqual(schema_errors(self.static), [])
        self.assertEqual(schema_errors(self.kubernetes), [])
        self.assertEqual(static_errors(self.static, self.flags), [])
        self.assertEqual(kubernetes_errors(self.kubernetes, self.objects), [])

    def test_both_scrape_both_binaries(self):
        for config in (self.static, self.kubernetes):
            jobs = {job["job_name"] for job in config["scrape_configs"]}
            self.assertEqual(jobs, set(BINARY_OF_JOB))

    def test_timeouts_are_shorter_than_intervals(self):
        for config in (self.static, self.kubernetes):
            timeout, interval = (
                int(config["global"][key].removesuffix("s"))
                for key in ("scrape_timeout", "scrape_interval")
            )
            self.assertLess(timeout, interval)

    def test_wrong_fields_are_found(self):
        job = copy.deepcopy(self.static["scrape_configs"][0])
        for key, value in (("static_config", []), ("job_name", "blockserve"),
                           ("static_configs", [{"target": []}])):
            with self.subTest(key=key):
                planted = {
                    **self.static, "scrape_configs": [{**job, key: value}]
                }
                self.assertNotEqual(schema_errors(planted), [])

    def test_wrong_port_is_found(self):
        job = self.static["scrape_configs"][1]
        job["static_configs"][0]["targets"] = ["localhost:9090"]
        self.assertEqual(len(static_errors(self.static, self.flags)), 1)

    def test_wrong_label_and_port_name_are_found(self):
        job = self.kubernetes["scrape_configs"][1]
        selector = job["kubernetes_sd_configs"][0]["selectors"][0]
        before = selector["label"]
        selector["label"] = before.replace("worker", "router")
        errors = kubernetes_errors(self.kubernetes, self.objects)
        self.assertTrue(any("found: True" in e for e in errors), errors)
        self.assertTrue(any("found: False" in e for e in errors), errors)
        selector["label"] = before
        job["relabel_configs"][0]["regex"] = "metric"
        errors = kubernetes_errors(self.kubernetes, self.objects)
        self.assertTrue(any("['metric']" in e for e in errors), errors)


if __name__ == "__main__":
    unittest.main()
