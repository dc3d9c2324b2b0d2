"""The scripts of docs/cluster.md: what SLURM would run, and the fields that KubeRay requires."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from eyechart.cli import VERBS, _load

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="not in this source tree")

# On each node of a job, srun runs its command. Here: once, with what it got in a file.
FAKES = {
    "scontrol": """#!/bin/sh
[ "$1 $2 $3" = "show hostnames node[1-4]" ] && printf 'node1\\nnode2\\nnode3\\nnode4\\n'
""",
    "srun": """#!{python}
import json, sys
json.dump(sys.argv[1:], open({file!r}, "w"))
""",
}


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def refuse_unknown_options(command: list[str]) -> None:
    """Parse an eyechart command without running it."""
    assert command[0] == "eyechart"
    _load(VERBS[command[1]][0]).make_context(command[1], command[2:])


def test_the_slurm_script_starts_ray_on_all_nodes_and_runs_one_command(tmp_path: Path) -> None:
    file = tmp_path / "srun.json"
    for name, text in FAKES.items():
        fake = tmp_path / name
        fake.write_text(
            text.replace("{python}", sys.executable).replace("{file!r}", repr(str(file)))
        )
        fake.chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "node[1-4]", "SLURM_JOB_NUM_NODES": "4"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    script = block("bash")
    subprocess.run(["bash", "-eu", "-c", script], env={"PATH": path, **job}, check=True)
    called = json.loads(file.read_text())
    place = called.index("--")
    assert called[:place] == ["ray", "symmetric-run", "--address", "node1:6379", "--min-nodes", "4"]
    refuse_unknown_options(called[place + 1 :])
    assert "#SBATCH --nodes=4 --ntasks-per-node=1" in script


def test_ray_takes_the_options_of_the_slurm_script() -> None:
    symmetric = pytest.importorskip("ray.scripts.symmetric_run").symmetric_run
    options = {name for option in symmetric.params for name in option.opts}
    assert {"--address", "--min-nodes"} <= options


def test_the_kubernetes_file_has_what_a_ray_job_requires() -> None:
    job: dict[str, Any] = yaml.safe_load(block("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert container["name"]
            assert container["image"]
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
    for group in cluster["workerGroupSpecs"]:
        assert group["groupName"]
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    command = shlex.split(job["spec"]["entrypoint"])
    refuse_unknown_options(command)
    (head,) = groups[0]["template"]["spec"]["containers"]
    mounted = [mount["mountPath"] for mount in head["volumeMounts"]]
    for path in (word for word in command if word.startswith("/")):
        assert any(path.startswith(f"{place}/") for place in mounted)


def test_an_unknown_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        refuse_unknown_options(["eyechart", "run", "--rays", "auto"])
