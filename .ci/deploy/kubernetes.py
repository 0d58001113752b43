"""The Kubernetes manifests: against the schemas, against each other, and against the service."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

import compose
from running import Brownout, listens_at, seconds

VERSION = "1.30"
"""The oldest that has all that is used (`preStop.sleep`)."""
FOLDER = "service/deploy/kubernetes"
PODS = ("brownout", "brownout-worker")


def kustomization(root: Path) -> dict:
    return yaml.safe_load((root / FOLDER / "kustomization.yaml").read_text())


def objects(root: Path) -> dict[tuple[str, str], dict]:
    """All objects, by kind and name."""
    found = {}
    for file in kustomization(root)["resources"]:
        for one in yaml.safe_load_all((root / FOLDER / file).read_text()):
            key = one["kind"], one["metadata"]["name"]
            assert key not in found, f"{key} is there twice"
            found[key] = one
    return found


def pod_of(root: Path, name: str) -> dict:
    return objects(root)["Deployment", name]["spec"]["template"]


def container_of(root: Path, name: str) -> dict:
    return pod_of(root, name)["spec"]["containers"][0]


def settings(root: Path) -> str:
    return objects(root)["ConfigMap", "brownout-settings"]["data"]["service.toml"]


def fits_the_schemas(root: Path, _brownout) -> None:
    """every object fits the schema of Kubernetes 1.30, strictly"""
    for one in objects(root).values():
        kubernetes_validate.validate(one, VERSION, strict=True)
    files = {path.name for path in (root / FOLDER).glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(kustomization(root)["resources"]), "a file is not applied"
    if shutil.which("kubectl"):
        done = subprocess.run(["kubectl", "kustomize", str(root / FOLDER)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert all(one for one in yaml.safe_load_all(done.stdout))


def belongs_together(root: Path, _brownout) -> None:
    """selectors select, and whatever is referred to by name exists"""
    found = objects(root)
    labels = {name: pod_of(root, name)["metadata"]["labels"] for name in PODS}
    for name in PODS:
        assert found["Deployment", name]["spec"]["selector"]["matchLabels"] == labels[name]
        assert found["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == labels[name]
        assert found["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"] == labels[name]
        volumes = {volume["name"]: volume for volume in pod_of(root, name)["spec"]["volumes"]}
        mounts = container_of(root, name)["volumeMounts"]
        assert {mount["name"] for mount in mounts} == set(volumes)
        assert ("ConfigMap", volumes["settings"]["configMap"]["name"]) in found
    assert found["Service", "brownout"]["spec"]["selector"] == labels["brownout"] != labels["brownout-worker"]
    scaled = found["HorizontalPodAutoscaler", "brownout"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) in found
    assert "replicas" not in found["Deployment", "brownout"]["spec"], "every apply would undo the autoscaler"
    assert kustomization(root)["namespace"] == found["Namespace", "brownout"]["metadata"]["name"]


def holds_no_secret(root: Path, _brownout) -> None:
    """secrets are referred to and not there, and the settings hold none"""
    assert not [key for key in objects(root) if key[0] == "Secret"]
    plain = tomllib.loads(settings(root))
    assert not {"providers", "keys", "database_url", "redis_url"} & set(plain), plain
    for name in PODS:
        assert "env" not in container_of(root, name)
        assert container_of(root, name)["envFrom"] == [{"secretRef": {"name": "brownout"}}]
    readme = (root / "service/deploy/README.md").read_text()
    assert "create secret generic brownout --from-env-file" in readme


def is_confined(root: Path, _brownout) -> None:
    """pods are what the restricted standard asks for, with resources and a root that cannot be written to"""
    for name in PODS:
        pod, container = pod_of(root, name)["spec"], container_of(root, name)
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        held = container["securityContext"]
        assert held["allowPrivilegeEscalation"] is False and held["capabilities"] == {"drop": ["ALL"]}
        assert held["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]) and "memory" in container["resources"]["limits"]
    enforced = objects(root)["Namespace", "brownout"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def agrees_with_the_service(root: Path, brownout: Brownout) -> None:
    """the service takes the settings and arguments, answers the probes, and counts what is scaled on"""
    container = container_of(root, "brownout")
    brownout.accepts(settings(root), container["args"], compose.environment(root))
    for name in PODS:
        mounted = container_of(root, name)["volumeMounts"][0]["mountPath"]
        arguments = container_of(root, name)["args"]
        assert arguments[arguments.index("--config") + 1] == f"{mounted}/service.toml"
    assert objects(root)["Service", "brownout"]["spec"]["ports"][0]["targetPort"] == "http"
    assert container_of(root, "brownout-worker")["args"][0] == "worker"
    scraped = {scraped_at(root, name) for name in PODS}.pop()
    for process in ("serve", "worker"):
        answers = brownout.answers("/livez", "/readyz", scraped, process=process)
        assert {status for status, _ in answers.values()} == {200}, answers
    answers = brownout.answers("/livez", "/readyz", scraped)
    assert {status for status, _ in answers.values()} == {200}, answers
    for metric in objects(root)["HorizontalPodAutoscaler", "brownout"]["spec"]["metrics"]:
        name = metric["pods"]["metric"]["name"]
        assert f"\n{name} " in answers[scraped][1], f"the service does not count {name}"
        assert name in (root / "service/deploy/README.md").read_text()


def scraped_at(root: Path, name: str) -> str:
    """The path of the metrics, of a pod whose port and probes are those of its process."""
    container = container_of(root, name)
    port = {port["name"]: port["containerPort"] for port in container["ports"]}["http"]
    assert port == listens_at(container["args"])
    probes = {kind: container[kind + "Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert probes["liveness"]["path"] == "/livez" and probes["readiness"]["path"] == "/readyz"
    annotations = pod_of(root, name)["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)
    return annotations["prometheus.io/path"]


def drains_in_time(root: Path, _brownout) -> None:
    """a pod is not killed while it drains"""
    wanted = tomllib.loads(settings(root))
    hook = container_of(root, "brownout")["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = hook + seconds(wanted["drain_delay"]) + seconds(wanted["shutdown_grace"])
    given = pod_of(root, "brownout")["spec"]["terminationGracePeriodSeconds"]
    assert given > drain + 5, f"{given} s are given, {drain} s may be needed"
    assert container_of(root, "brownout")["readinessProbe"]["periodSeconds"] <= seconds(wanted["drain_delay"]), "nobody would notice in time"


CHECKS = [fits_the_schemas, belongs_together, holds_no_secret, is_confined, agrees_with_the_service, drains_in_time]
