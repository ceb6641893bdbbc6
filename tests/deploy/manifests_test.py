"""The Kustomize base: valid, consistent, and true to the binaries. Planted
errors show that each check can fail."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import unittest

import yaml
from yamllint import config, linter

import binaries
import checks
import manifests
import schemas

CRD = pathlib.Path(
    os.environ.get("BLOCKSERVE_SHARED_DIR", "/nonexistent"),
    "kubernetes", "leaderworkerset-crd.yaml",
)


def find(objects, kind, name):
    (item,) = (
        item for item in objects
        if item["kind"] == kind and item["metadata"]["name"] == name
    )
    return item


@contextlib.contextmanager
def planted(mapping, key, value):
    """An error for the length of a with statement."""
    absent = object()
    before = mapping.get(key, absent)
    mapping[key] = value
    yield
    if before is absent:
        del mapping[key]
    else:
        mapping[key] = before


class ManifestsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flags = binaries.known_flags()
        cls.ahead = binaries.CONTRACT["flags_ahead"]

    def setUp(self):
        self.objects = manifests.render()
        self.router = find(self.objects, "Deployment", "blockserve-router")
        self.workers = find(
            self.objects, "LeaderWorkerSet", "blockserve-worker"
        )
        self.group = self.workers["spec"]["leaderWorkerTemplate"]
        self.router_pod = self.router["spec"]["template"]["spec"]
        self.worker_pod = self.group["workerTemplate"]["spec"]

    def errors(self):
        return (
            schemas.builtin_errors(self.objects)
            + schemas.own_errors(self.workers)
            + checks.flag_errors(self.objects, self.flags, self.ahead)
            + checks.port_errors(self.objects, self.flags)
            + checks.address_errors(self.objects)
            + checks.selector_errors(self.objects)
            + checks.shutdown_errors(self.objects, self.flags)
            + checks.security_errors(self.objects)
            + checks.group_errors(self.objects)
        )

    def assert_found(self, expected):
        errors = self.errors()
        self.assertTrue(
            any(expected in error for error in errors), f"{expected}: {errors}"
        )

    def service(self, name):
        return find(self.objects, "Service", name)["spec"]

    def policy(self, name):
        return find(self.objects, "NetworkPolicy", name)["spec"]

    def test_nothing_is_wrong(self):
        self.assertEqual(self.errors(), [])

    def test_flags_that_have_come_are_no_longer_awaited(self):
        self.assertEqual(checks.ahead_errors(self.flags, self.ahead), [])
        self.assertIn(
            "blockserve_worker has --threads",
            checks.ahead_errors(
                self.flags, {"blockserve_worker": ["threads"]}
            )[0],
        )

    def test_awaited_flags_are_used(self):
        used = {}
        for container in manifests.containers(self.objects):
            used.setdefault(container.binary, set()).update(container.flags)
        for binary, flags in self.ahead.items():
            self.assertLessEqual(set(flags), used[binary])

    def test_every_file_is_a_resource(self):
        files = {path.name for path in manifests.BASE.glob("*.yaml")}
        kustomization = manifests.load(manifests.BASE / "kustomization.yaml")
        self.assertEqual(
            files - {"kustomization.yaml"}, set(kustomization["resources"])
        )

    def test_kubectl_renders_the_same(self):
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            return  # the renderer of these tests stands alone
        # Bazel's links would lead out of the folder, which Kustomize refuses.
        folder = pathlib.Path(os.environ["TEST_TMPDIR"], "base")
        shutil.copytree(manifests.BASE, folder)
        rendered = subprocess.run(
            [kubectl, "kustomize", str(folder)],
            check=True, capture_output=True, text=True, timeout=30,
        ).stdout

        def key(item):
            return item["kind"], item["metadata"]["name"]

        self.assertEqual(
            sorted(yaml.safe_load_all(rendered), key=key),
            sorted(self.objects, key=key),
        )

    def test_objects_name_no_namespace(self):
        for item in self.objects:
            self.assertNotIn("namespace", item["metadata"])

    def test_yaml_is_in_one_style(self):
        style = config.YamlLintConfig(
            "{extends: default, rules: {document-start: disable, line-length:"
            " {max: 88}, indentation: {spaces: 2, indent-sequences: true}}}"
        )
        files = sorted(manifests.DEPLOY.glob("*/*.yaml"))
        files += sorted(manifests.DEPLOY.glob("*/*.yml"))
        self.assertGreater(len(files), 7)
        for path in files:
            with self.subTest(path=path):
                problems = linter.run(path.read_text(), style)
                self.assertEqual([str(p) for p in problems], [])
        self.assertTrue(list(linter.run("a:\n- b\n", style)))

    # Planted errors.

    def test_unknown_flag_is_found(self):
        self.worker_pod["containers"][0]["args"].append("--tensor_size=2")
        self.assert_found("blockserve_worker has no --tensor_size")

    def test_unknown_binary_is_found(self):
        self.router_pod["containers"][0]["command"] = ["blockserve-router"]
        errors = checks.flag_errors(self.objects, self.flags, self.ahead)
        self.assertIn("no binary blockserve-router", errors[0])

    def test_wrong_ports_are_found(self):
        self.router_pod["containers"][0]["args"][0] = "--port=50059"
        self.assert_found("port grpc is 50051, --port=50059")

    def test_default_ports_are_compared(self):
        self.router_pod["containers"][0]["args"].remove("--metrics_port=9090")
        self.assertEqual(self.errors(), [])
        self.router_pod["containers"][0]["ports"][1]["containerPort"] = 9099
        self.assert_found("port metrics is 9099, --metrics_port=9090")

    def test_wrong_probe_port_is_found(self):
        probe = self.worker_pod["containers"][0]["readinessProbe"]
        probe["grpc"]["port"] = 50053
        self.assert_found("readinessProbe at another port")

    def test_wrong_service_ports_are_found(self):
        self.service("blockserve")["ports"][1]["port"] = 9091
        self.assert_found("Service/blockserve metrics")

    def test_wrong_policy_ports_are_found(self):
        router = self.policy("blockserve-router")
        router["egress"][0]["ports"][0]["port"] = 50051
        self.assert_found("nothing listens on 50051")
        router["egress"][0]["ports"][0]["port"] = 50052
        router["ingress"][1]["ports"][0]["port"] = 9091
        self.assert_found("nothing listens on 9091")

    def test_wrong_address_is_found(self):
        arguments = self.router_pod["containers"][0]["args"]
        at = arguments.index("--workers_dns=blockserve-leaders:50052")
        arguments[at] = "--workers_dns=blockserve-leader:50052"
        self.assert_found("no service at blockserve-leader:50052")

    def test_service_of_all_ranks_is_found(self):
        selector = self.service("blockserve-leaders")["selector"]
        del selector[manifests.LWS_LABEL + "worker-index"]
        self.assert_found("selects ranks ['0', '1']")

    def test_selector_of_nothing_is_found(self):
        budget = find(
            self.objects, "PodDisruptionBudget", "blockserve-leaders"
        )
        labels = budget["spec"]["selector"]["matchLabels"]
        labels[manifests.LWS_LABEL + "worker-index"] = "2"
        self.assert_found("PodDisruptionBudget/blockserve-leaders selects noth")

    def test_short_grace_is_found(self):
        self.worker_pod["terminationGracePeriodSeconds"] = 100
        self.assert_found("105 s do not fit in 100 s")
        self.router_pod["containers"][0]["args"].append("--drain_delay=1m")
        self.assert_found("105 s do not fit in 60 s")

    def test_weak_security_is_found(self):
        container = self.worker_pod["containers"][0]
        for context, key, value, named in (
            (self.worker_pod, "hostNetwork", True, "host namespaces"),
            (self.worker_pod["securityContext"], "runAsUser", 0, "runAsUser"),
            (container["securityContext"], "readOnlyRootFilesystem", False,
             "readOnlyRootFilesystem"),
            (container["securityContext"], "capabilities", {"add": ["ALL"]},
             "capabilities"),
        ):
            with self.subTest(key=key), planted(context, key, value):
                self.assert_found(named)

    def test_secret_in_git_is_found(self):
        self.objects.append({
            "apiVersion": "v1", "kind": "Secret", "spec": {},
            "metadata": {"name": "blockserve-group"},
        })
        self.assertIn(
            "Secret/blockserve-group is in git",
            checks.security_errors(self.objects),
        )

    def test_group_that_rebuilds_itself_is_found(self):
        arguments = self.worker_pod["containers"][0]["args"]
        arguments.remove("--on_group_failure=exit")
        self.assert_found("--on_group_failure must be exit")

    def test_more_threads_than_cores_are_found(self):
        limits = self.worker_pod["containers"][0]["resources"]["limits"]
        limits["cpu"] = "2"
        self.assert_found("--threads is not the cpu limit")

    def test_missing_secret_is_found(self):
        self.worker_pod["containers"][0]["volumeMounts"].pop(0)
        self.assert_found("no secret at /var/run/secrets/blockserve")

    def test_wrong_fields_are_found(self):
        for context, key, value, named in (
            (self.router["spec"], "replica", 2, "replica"),
            (self.router["spec"], "replicas", "2", "not of type"),
            (self.worker_pod, "volume", [], "'volume' was unexpected"),
            (self.worker_pod["containers"][0]["livenessProbe"]["grpc"],
             "port", "grpc", "not of type"),
            (self.group, "restartPolicy", "Always", "'Always' is not one of"),
            (self.group, "replicas", 2, "'replicas' was unexpected"),
            (self.workers["spec"], "leaderTemplate", {}, "unexpected"),
        ):
            with self.subTest(key=key), planted(context, key, value):
                self.assert_found(named)

    def test_kind_without_schema_is_found(self):
        self.router["apiVersion"] = "apps/v1beta1"
        self.assert_found("Deployment: no schema")


@unittest.skipUnless(CRD.exists(), "no LeaderWorkerSet CRD in ../shared")
class LeaderWorkerSetCrdTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.validator = schemas.crd_validator(CRD)

    def setUp(self):
        self.workers = find(
            manifests.render(), "LeaderWorkerSet", "blockserve-worker"
        )
        self.group = self.workers["spec"]["leaderWorkerTemplate"]

    def errors(self):
        return "\n".join(schemas.crd_errors(self.validator, self.workers))

    def test_nothing_is_wrong(self):
        self.assertEqual(self.errors(), "")

    def test_planted_errors_are_found(self):
        pod = self.group["workerTemplate"]["spec"]
        for context, key, value, named in (
            (self.group, "sizes", 2, "$.spec.leaderWorkerTemplate: Add"),
            (self.group, "size", "two", "'two' is not of type"),
            (self.group, "restartPolicy", "Always", "'Always' is not one"),
            (pod["containers"][0], "arg", [], "'arg' was unexpected"),
            (pod["containers"][0]["livenessProbe"]["grpc"], "port", "grpc",
             "'grpc' is not of type"),
        ):
            with self.subTest(key=key), planted(context, key, value):
                self.assertIn(named, self.errors())


if __name__ == "__main__":
    unittest.main()
