"""The job scripts in cluster/: SLURM scripts assign tasks to nodes, and the Kubernetes files are complete."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

import storage
from conftest import ROOT

CLUSTER = ROOT / "cluster"

# Stand-ins for SLURM's commands: two nodes with one task each.
COMMANDS = {
    "scontrol": "echo node7; echo node9",
    "srun": 'for rank in 0 1; do SLURM_PROCID=$rank "$@"; done',
}
# Stand-in for the project's Python: records its calls.
PYTHON = 'echo "$*|$TF_CONFIG|$KERASTUNER_TUNER_ID|$KERASTUNER_ORACLE_IP:$KERASTUNER_ORACLE_PORT" >> called'


def executable(path: pathlib.Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def calls_of(tmp_path, script, *arguments):
    for name, content in COMMANDS.items():
        executable(tmp_path / "bin" / name, content)
    executable(tmp_path / ".venv/bin/python", PYTHON)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[7,9]"}
    subprocess.run(["bash", CLUSTER / script, *arguments], cwd=tmp_path, env=environment, check=True)
    return [line.split("|") for line in sorted((tmp_path / "called").read_text().splitlines())]


@pytest.mark.skipif(not shutil.which("bash"), reason="this machine has no bash")
def test_slurm_assigns_each_training_task_its_index(tmp_path):
    calls = calls_of(tmp_path, "slurm_train.sh")
    assert [call[0] for call in calls] == ["src/main.py train_final_model"] * 2
    configurations = [json.loads(call[1]) for call in calls]
    assert [configuration["task"] for configuration in configurations] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
    ]
    assert all(
        configuration["cluster"] == {"worker": ["node7:29417", "node9:29417"]} for configuration in configurations
    )


@pytest.mark.skipif(not shutil.which("bash"), reason="this machine has no bash")
def test_slurm_starts_a_chief_beside_the_first_worker_of_a_search(tmp_path):
    calls = calls_of(tmp_path, "slurm_explore.sh")
    assert sorted((call[0], call[2], call[3]) for call in calls) == [
        ("src/main.py explore_hyperparameters", name, f"{address}:29418")
        for name, address in (("chief", "0.0.0.0"), ("tuner0", "node7"), ("tuner1", "node7"))
    ]


def parts(name):
    return list(yaml.safe_load_all((CLUSTER / name).read_text()))


def container(job):
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("index", [0, 1])
def test_kubernetes_assigns_each_training_pod_its_index(tmp_path, index):
    service, job = parts("kubernetes_train.yaml")
    executable(tmp_path / ".venv/bin/python", PYTHON)
    environment = {**os.environ, "JOB_COMPLETION_INDEX": str(index)}
    subprocess.run(["bash", "-c", *container(job)["args"]], cwd=tmp_path, env=environment, check=True)
    called, configuration, *_ = (tmp_path / "called").read_text().split("|")
    configuration = json.loads(configuration)
    assert called == "src/main.py train_final_model"
    assert configuration["task"] == {"type": "worker", "index": index}
    name = service["metadata"]["name"]
    assert configuration["cluster"]["worker"] == [
        f"{job['metadata']['name']}-{number}.{name}:29417" for number in range(job["spec"]["completions"])
    ]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["template"]["spec"]["subdomain"] == name


def test_kubernetes_workers_of_a_search_find_their_chief():
    service, chief, workers = parts("kubernetes_explore.yaml")
    assert chief["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
    of_chief, of_workers = (
        {entry["name"]: entry["value"] for entry in container(job)["env"]} for job in (chief, workers)
    )
    # Kubernetes must not start a second chief while workers train.
    assert (chief["spec"]["backoffLimit"], chief["spec"]["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert of_chief["KERASTUNER_TUNER_ID"] == "chief"
    assert "KERASTUNER_TUNER_ID=tuner$JOB_COMPLETION_INDEX" in container(workers)["args"][0]
    assert of_workers["KERASTUNER_ORACLE_IP"] == service["metadata"]["name"]
    assert (
        of_chief["KERASTUNER_ORACLE_PORT"]
        == of_workers["KERASTUNER_ORACLE_PORT"]
        == str(service["spec"]["ports"][0]["port"])
    )


def test_the_scripts_call_steps_that_exist():
    text = "".join(path.read_text() for path in CLUSTER.iterdir())
    called = re.findall(r"""src/main\.py["', ]+([a-z_]+)""", text) + re.findall(
        r"STEP:-([a-z_]+)|STEP=\$\{1:-([a-z_]+)", text
    )
    names = {name for entry in called for name in ([entry] if isinstance(entry, str) else entry) if name}
    assert names == {"train_final_model", "explore_hyperparameters"} <= {step.function for step in storage.STEPS}
