"""What the page on scale-out tells people to run can be read by bash, YAML and marginface."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import yaml

from marginface import config as recipes
from marginface.cli.arguments import split_overrides
from marginface.training.config import TrainConfig

PAGE = (Path(__file__).parents[2] / "docs" / "scale-out.md").read_text(encoding="utf-8")
TRAIN_FLAGS = {"--out": True, "--resume": False, "--dry-run": False, "--ranks": True}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def _trains(command: str) -> TrainConfig:
    """Return the config of a `... marginface train RECIPE ...` command, shell substitutions left out."""
    plain = re.sub(r"\$\([^)]*\)", "", command.replace("\\\n", " "))
    words = shlex.split(plain.split("marginface train", 1)[1].split("\n\n")[0])
    own, overrides = split_overrides([word for word in words if word != "$resume"], TRAIN_FLAGS)
    return recipes.load(TrainConfig, recipes.with_overrides(recipes.read_recipe(own[0]), overrides))


def test_the_slurm_script_is_bash_and_its_recipe_resolves() -> None:
    (script,) = _blocks("bash")
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert _trains(script).head.kind == "sharded"


def test_the_manifest_has_a_master_and_workers_alike_and_its_recipe_resolves() -> None:
    (manifest,) = (yaml.safe_load(block) for block in _blocks("yaml"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert isinstance(manifest["spec"]["nprocPerNode"], str), "the operator wants text"
    replicas = manifest["spec"]["pytorchReplicaSpecs"]
    assert replicas["Master"]["template"] == replicas["Worker"]["template"]
    pod = replicas["Master"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch", "the operator looks for this name"
    assert str(container["resources"]["limits"]["nvidia.com/gpu"]) == manifest["spec"]["nprocPerNode"]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert _trains(container["args"][0]).head.kind == "sharded"


def test_settings_in_the_table_exist() -> None:
    known = recipes.dump(_trains(_blocks("bash")[0]))
    for names in re.findall(r"^\| (`.*?) \|", PAGE, flags=re.M):
        for name in re.findall(r"`([a-z_.]+)[:`]", names):
            place = known
            for key in name.split("."):
                assert key in place, name
                place = place[key]
