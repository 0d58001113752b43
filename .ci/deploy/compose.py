"""compose.yaml: its shape, and that it agrees with the image and with the settings."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import yaml

import image
from running import Brownout, listens_at, seconds

SERVICE_KEYS = {
    "build", "cap_drop", "command", "configs", "depends_on", "deploy", "env_file", "environment", "healthcheck", "image", "networks",
    "ports", "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "volumes",
}
"""Of the Compose specification, those that are used: another one is let in on purpose."""
OURS = ("service", "worker")


def load(root: Path) -> dict:
    return yaml.safe_load((root / "service/deploy/compose.yaml").read_text())


def settings(root: Path) -> str:
    return (root / "service/deploy/service.toml").read_text()


def environment(root: Path) -> dict[str, str]:
    """The example of the file that holds the secrets, in README.md."""
    block = re.search(r"```sh\n# service\.env\n(.*?)```", (root / "service/deploy/README.md").read_text(), re.S).group(1)
    return dict(line.split("=", 1) for line in block.splitlines())


def is_well_formed(root: Path, _brownout) -> None:
    """compose.yaml has the shape of a Compose file, and whatever it refers to exists"""
    file = load(root)
    assert set(file["services"]) == {*OURS, "postgres", "redis"}
    for name, service in file["services"].items():
        assert set(service) <= SERVICE_KEYS, f"{name}: {set(service) - SERVICE_KEYS}"
        assert set(service["networks"]) <= set(file["networks"])
        assert set(service.get("secrets", [])) <= set(file["secrets"])
        assert {config["source"] for config in service.get("configs", [])} <= set(file["configs"])
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(file["volumes"])
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy" and "test" in file["services"][needed]["healthcheck"]
        seconds(service.get("stop_grace_period", "10s"))
    for config in file["configs"].values():
        assert (root / "service/deploy" / config["file"]).is_file()
    build = file["services"]["service"]["build"]
    assert (root / "service/deploy" / build["context"]).resolve() == root.resolve()
    assert (root / build["dockerfile"]).is_file()
    assert file["networks"]["stores"]["internal"] is True
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        command = ["docker", "compose", "-f", str(root / "service/deploy/compose.yaml"), "config", "--no-env-resolution", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/usr/local/bin", "BROWNOUT_SECRETS": "/nowhere"})
        assert done.returncode == 0, done.stderr


def keeps_secrets_elsewhere(root: Path, _brownout) -> None:
    """secrets come from a folder that has to be named, and no value in compose.yaml is one"""
    file = load(root)
    for name in OURS:
        assert all(path.startswith("${BROWNOUT_SECRETS:?") for path in file["services"][name]["env_file"])
        assert "environment" not in file["services"][name]
    assert all(secret["file"].startswith("${BROWNOUT_SECRETS:?") for secret in file["secrets"].values())
    for service in file["services"].values():
        for key, value in service.get("environment", {}).items():
            assert not image.SECRET.search(key) or value.startswith("/run/secrets/"), key


def is_pinned_and_confined(root: Path, _brownout) -> None:
    """images are pinned, and the service can change nothing and gain nothing"""
    for name, service in load(root)["services"].items():
        if name in OURS:
            assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
            assert service["deploy"]["resources"]["limits"]["memory"]
        else:
            assert image.PINNED.match(service["image"]), service["image"]
            assert service["networks"] == ["stores"] and "ports" not in service, f"{name} can be reached from outside"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


def agrees_with_the_service(root: Path, brownout: Brownout) -> None:
    """the service takes the settings, the commands and the environment of compose.yaml, and drains in time"""
    service, worker = (load(root)["services"][name] for name in OURS)
    brownout.accepts(settings(root), service["command"], environment(root))
    known = brownout.run("worker", "--help").stdout
    assert worker["command"][0] == "worker" and "--config" in known and "--listen" in known
    assert worker["healthcheck"] == service["healthcheck"] and listens_at(worker["command"]) == listens_at(service["command"])
    targets = {config["target"] for config in service["configs"]}
    for one in (service, worker):
        assert one["command"][one["command"].index("--config") + 1] in targets
    probe = service["healthcheck"]["test"]
    assert probe[:3] == ["CMD", "/brownout", "serve"] and listens_at(probe) == listens_at(service["command"])
    assert service["ports"] == [f"127.0.0.1:8080:{listens_at(service['command'])}"]
    path = probe[probe.index("--probe") + 1]
    assert brownout.answers(path)[path][0] == 200
    wanted = tomllib.loads(settings(root))
    drain = seconds(wanted.get("drain_delay", "0s")) + seconds(wanted["shutdown_grace"])
    assert seconds(service["stop_grace_period"]) > drain + 5, "it would be killed while it drains"


def image_agrees(root: Path, brownout: Brownout) -> None:
    """the service takes the command of the image, and the README's way to check settings works"""
    brownout.accepts(settings(root), image.arguments(root), environment(root))
    named = environment(root)
    del named["BROWNOUT_SERVICE__PROVIDERS"]
    try:
        brownout.accepts(settings(root), image.arguments(root), named)
    except AssertionError as refused:
        assert "provider" in str(refused), refused
    else:
        raise AssertionError("without a provider it should refuse")


CHECKS = [is_well_formed, keeps_secrets_elsewhere, is_pinned_and_confined, agrees_with_the_service, image_agrees]
