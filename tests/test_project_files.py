"""Files around the code: workflow, hooks, scripts and the metadata of the package."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def check_schema(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_workflow_satisfies_the_schema_of_github_workflows() -> None:
    result = check_schema(ROOT / ".github/workflows/ci.yml", "vendor.github-workflows")
    assert result.returncode == 0, result.stdout + result.stderr


def test_invalid_workflow_is_rejected_by_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8").replace("runs-on:", "runs_on:"))
    assert check_schema(path, "vendor.github-workflows").returncode == 1


def test_paths_that_the_workflow_names_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    paths = {word for command in commands for word in command.split() if re.match(r"(tests/|\.ci/)", word)}
    assert {".ci/run", ".ci/lowest", "tests/core"} <= paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_workflow_covers_every_supported_version_of_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    versions = workflow["jobs"]["short"]["strategy"]["matrix"]["python"]
    classified = [name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert versions == classified
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_pre_commit_hooks_are_complete() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["id"]: hook for repository in config["repos"] for hook in repository["hooks"]}
    assert hooks.keys() == {"ruff-check", "ruff-format", "mypy", "import-linter", "long-modules"}
    for hook in hooks.values():
        assert {"name", "entry", "language"} <= hook.keys()


@pytest.mark.parametrize(("line_count", "warning_count"), [(400, 0), (401, 1)])
def test_long_module_is_a_warning_and_never_an_error(tmp_path: Path, line_count: int, warning_count: int) -> None:
    module = tmp_path / "module.py"
    module.write_text("x = 1\n" * line_count)
    command = [sys.executable, str(ROOT / ".ci/long_modules.py"), str(module)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stdout.count("warning:") == warning_count


@pytest.mark.parametrize("script", ["run", "lowest"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / ".ci" / script
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


PACKAGE_DATA = {
    "playground": {".typed"},
    "playground/codegen/templates": {".j2"},
    "playground/export/report/templates": {".j2"},
    "playground/export/web_page/templates": {".j2"},
    "playground/ui/components": {".css", ".js"},
    "playground/ui/components/bundled": {".css", ".js"},
    "playground/ui/components/lib": {".js", ".ts"},
    "playground/web": {".js", ".mjs", ".ts"},
    "playground/web/bundled": {".css", ".js"},
    "playground/web/canvas": {".js"},
    "playground/web/engine": {".js", ".ts"},
    "playground/web/engine/operations": {".js"},
    "playground/web/page": {".css", ".js"},
    "playground/web/views": {".css", ".js"},
}
"""Suffixes of the files beside the code that the package reads, by folder."""


def test_wheel_contains_all_code_package_data_and_assets() -> None:
    included = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    files = [path.relative_to(ROOT) for path in (ROOT / "playground").rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    suffixes = {folder: set[str]() for folder in PACKAGE_DATA}
    for path in files:
        if path.suffix != ".py":
            suffixes.setdefault(path.parent.as_posix(), set()).add(path.suffix)
    assert suffixes == PACKAGE_DATA
    assert {path.as_posix() for path in files} <= included
    bundled = {"app.py", ".streamlit/config.toml", *(f"assets/{name}" for name in ("report.css", "style.css"))}
    bundled |= {f"assets/{path.name}/README.md" for path in (ROOT / "assets").iterdir() if path.is_dir()}
    assert {f"playground/bundle/{path}" for path in bundled} <= included
