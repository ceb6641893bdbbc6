"""Schemas of Kubernetes objects: of built-in kinds those of PyPI's
kubernetes-validate, of LeaderWorkerSet its CRD where there is one, and always a
short check of our own."""

import copy

import jsonschema
import kubernetes_validate

import manifests

# The oldest version whose API has all that the manifests use (preStop sleep is
# stable since), and the newest that the validator knows.
VERSIONS = ("1.34", "1.37")


def builtin_errors(objects):
    """Errors of everything but LeaderWorkerSets, and of the pods in these."""
    errors = []
    for item in objects:
        if item["kind"] == "LeaderWorkerSet":
            group = item["spec"]["leaderWorkerTemplate"]
            for template in ("leaderTemplate", "workerTemplate"):
                if template in group:
                    pod = {"apiVersion": "v1", "kind": "Pod", **group[template]}
                    errors += _validate(pod, f"{template}: ")
        else:
            errors += _validate(item, "")
    return errors


def _validate(item, prefix):
    errors = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            errors.append(f"{prefix}{item['kind']}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            errors.append(f"{prefix}{item['kind']}: no schema in {version}")
    return errors


def tightened(schema):
    """A CRD's openAPIV3Schema as a JSON schema that knows every field."""
    if isinstance(schema, list):
        return [tightened(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: tightened(value) for key, value in schema.items()}
    if result.pop("x-kubernetes-int-or-string", False):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    is_open = result.get("x-kubernetes-preserve-unknown-fields", False)
    if isinstance(result.get("properties"), dict) and not is_open:
        result.setdefault("additionalProperties", False)
    return result


def crd_validator(path):
    """A validator of the CRD's version v1."""
    crd = manifests.load(path)
    (schema,) = (
        version["schema"]["openAPIV3Schema"]
        for version in crd["spec"]["versions"]
        if version["name"] == "v1"
    )
    return jsonschema.Draft202012Validator(tightened(schema))


def crd_errors(validator, item):
    return [
        f"{error.json_path}: {error.message}"
        for error in validator.iter_errors(item)
    ]


_COUNT = {"type": "integer", "minimum": 1}
_OUR_LEADER_WORKER_SET = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "leaderworkerset.x-k8s.io/v1"},
        "kind": {"const": "LeaderWorkerSet"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "required": ["leaderWorkerTemplate", "replicas"],
            "additionalProperties": False,
            "properties": {
                "replicas": _COUNT,
                "startupPolicy": {"enum": ["LeaderCreated", "LeaderReady"]},
                "networkConfig": {
                    "additionalProperties": False,
                    "properties": {
                        "subdomainPolicy": {
                            "enum": ["Shared", "UniquePerReplica"]
                        },
                    },
                },
                "rolloutStrategy": {
                    "additionalProperties": False,
                    "required": ["type"],
                    "properties": {
                        "type": {"const": "RollingUpdate"},
                        "rollingUpdateConfiguration": {
                            "additionalProperties": False,
                            "properties": {
                                "maxSurge": {"type": ["integer", "string"]},
                                "maxUnavailable": {
                                    "type": ["integer", "string"]
                                },
                                "partition": {"type": "integer"},
                            },
                        },
                    },
                },
                "leaderWorkerTemplate": {
                    "additionalProperties": False,
                    "required": ["restartPolicy", "size", "workerTemplate"],
                    "properties": {
                        "size": _COUNT,
                        "restartPolicy": {
                            "enum": [
                                "RecreateGroupAfterStart",
                                "RecreateGroupOnPodRestart",
                            ]
                        },
                        "leaderTemplate": {"type": "object"},
                        "workerTemplate": {"type": "object"},
                    },
                },
            },
        },
    },
}


def own_errors(item):
    """Errors of a LeaderWorkerSet by what of it this project uses."""
    validator = jsonschema.Draft202012Validator(_OUR_LEADER_WORKER_SET)
    return crd_errors(validator, copy.deepcopy(item))
