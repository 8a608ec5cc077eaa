"""Dockerfile, compose file and systemd unit: linted, and run as far as that goes without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import psycopg
import pytest
from dockerfile_parse import DockerfileParser
from operational_databases import url_of
from postgres import Server
from scoring_runs import REPOSITORY, customer, running, write

PROGRAMS = Path(sys.executable).parent
PASSWORDS = {f"{name}_PASSWORD": f"{name.lower()} 'of' the \"test\"" for name in ("POSTGRES", "FEDELTA", "MLFLOW")}
ROOMS = ("/opt/", "/var/lib/", "/wheels", "/src")  # the images' folders that steps write to


def done(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def stages() -> dict[str, list[dict[str, str]]]:
    """The instructions of each stage of the Dockerfile."""
    found: dict[str, list[dict[str, str]]] = {}
    parser = DockerfileParser(str(REPOSITORY / "Dockerfile"))
    for each in parser.structure:
        if each["instruction"] == "FROM":
            now = found.setdefault(each["value"].split()[-1], [])
        if each["instruction"] != "COMMENT":
            now.append(each)
    return found


class Builder:
    """Runs stages in folders of this machine, each image's root a folder, with the packages that uv's cache holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built: set[str] = set()

    def build(self, stage: str) -> Path:
        """The root of a stage, whose COPY and RUN have been followed."""
        root = self.folder / stage
        if stage in self._built:
            return root
        self._built.add(stage)
        root.mkdir()
        variables: dict[str, str] = {}
        for each in stages()[stage]:
            words = each["value"].split()
            if each["instruction"] == "FROM" and words[0] in stages():
                shutil.copytree(self.build(words[0]), root, dirs_exist_ok=True, symlinks=True)
            elif each["instruction"] == "ENV":
                variables |= dict(word.split("=", 1) for word in words)
            elif each["instruction"] == "COPY":
                self._copy(root, [word for word in words if not word.startswith("--")], each["value"])
            elif each["instruction"] == "RUN":
                self._run(root, each["value"], variables)
        return root

    def _copy(self, root: Path, words: list[str], line: str) -> None:
        *names, to = words
        source = re.search(r"--from=(\S+)", line)
        target = root / to.lstrip("/") if to.startswith("/") else root / "src" / to
        for name in names:
            if source:
                shutil.copytree(self.build(source[1]) / name.lstrip("/"), target, symlinks=True)
            elif name == ".":
                for allowed in context():
                    _copied(REPOSITORY / allowed, target / allowed)
            else:
                assert name.split("/")[0] in context()
                _copied(REPOSITORY / name, target / Path(name).name)

    def _run(self, root: Path, command: str, variables: Mapping[str, str]) -> None:
        for room in ROOMS:
            command = command.replace(f" {room}", f" {root}{room}")
        environment = {
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "PIP_NO_INDEX": "1",  # what pip is to install is there already
            "UV_OFFLINE": "1",
            **{name: os.environ[name] for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME") if name in os.environ},
            **variables,
            "UV_COMPILE_BYTECODE": "0",  # takes a minute
        }
        run = done("sh", "-euc", command, cwd=root / "src" if (root / "src").exists() else root, env=environment)
        if run.returncode and "cache" in run.stderr and os.environ.get("FEDELTA_REQUIRE_SYSTEM") != "1":
            pytest.skip(f"uv's cache lacks what a lock names: {run.stderr.strip()[-300:]}")
        assert run.returncode == 0, f"{command}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"


def context() -> list[str]:
    """What .dockerignore leaves."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("!")]


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the image of the service."""
    return Builder(tmp_path_factory.mktemp("images")).build("service")


def test_the_dockerfile_has_nothing_to_warn_of() -> None:
    lint = done(PROGRAMS / "hadolint", "--failure-threshold=style", "--format=json", REPOSITORY / "Dockerfile")
    assert json.loads(lint.stdout) == []


def inherited(stage: str) -> list[dict[str, str]]:
    """The instructions of a stage and of those that it is built upon."""
    own = stages()[stage]
    below = own[0]["value"].split()[0]
    return [*(inherited(below) if below in stages() else []), *own]


def test_an_image_runs_as_nobody_in_particular_and_says_whether_it_is_well() -> None:
    for stage in ("service", "scoring", "mlflow"):
        found = {each["instruction"]: each["value"] for each in inherited(stage)}
        assert found["USER"] == "10001:10001"
        assert "/health" in found["HEALTHCHECK"]
        assert "RUN" not in found  # what installs is left behind
    assert [*stages()][-1] == "service"  # what is built when no target is named


@pytest.mark.long
def test_the_steps_of_the_dockerfile_give_a_service_that_publishes_and_serves(service: Path, tmp_path: Path) -> None:
    python = service / "opt/fedelta/bin/python"
    where = done(python, "-c", "import fedelta; print(fedelta.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(service))  # from the wheel, not from this repository
    assert not (service / "opt/fedelta/bin/pip").exists()
    database = f"sqlite:///{tmp_path}/fedelta.db"
    scores = write(tmp_path / "scores.parquet", customer("ann"))
    published = done(python, "-m", "fedelta.cli", "publish", "--scores", scores, "--database", database, cwd=tmp_path)
    assert published.returncode == 0, published.stderr
    with running(database, python) as address:
        assert httpx.get(f"{address}/readyz").status_code == 200
        health = next(each["value"] for each in inherited("service") if each["instruction"] == "HEALTHCHECK")
        words = json.loads(health[health.index("[") :])
        probe = words[2].replace("http://127.0.0.1:8000", address)
        assert done(python, *words[1:2], probe).returncode == 0
    assert done(python, *words[1:2], probe).returncode != 0


@pytest.mark.long
def test_the_target_scoring_has_what_computes_scores(tmp_path_factory: pytest.TempPathFactory, project: Path) -> None:
    root = Builder(tmp_path_factory.mktemp("images")).build("scoring")
    (path,) = [each["value"].split("=")[1] for each in inherited("scoring") if each["value"].startswith("LD_LIBRARY")]
    code = (
        "import sys, polars as pl; from pathlib import Path; from fedelta.features.contract import INTERACTIONS;"
        "from fedelta.scoring.scorer import Scorer; project = Path(sys.argv[1]);"
        "some = pl.read_parquet(project / 'data/interactions/*.parquet').select(INTERACTIONS.names());"
        "one = some.filter(pl.col('customer_id') == 'c0010');"
        "found = Scorer.load(project / 'data/scoring').score(one).scores.table();"
        "print(*found['status'], sys.modules['fedelta'].__file__);"
        "print([line for line in open('/proc/self/maps') if 'libgomp.so.1' in line][0].split()[-1])"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}{path}"}
    ran = done(root / "opt/fedelta/bin/python", "-c", code, project, env=environment, cwd=root)
    assert ran.returncode == 0, ran.stderr
    (status, package), (openmp,) = (line.split() for line in ran.stdout.splitlines())
    assert status == "scored"
    assert package.startswith(str(root))
    assert openmp == f"{root}{path}/libgomp.so.1"


def test_the_compose_file_is_valid_and_every_file_it_names_is_there() -> None:
    shown = done(
        PROGRAMS / "docker-compose", "--profile", "publish", "config", "--format=json",
        cwd=REPOSITORY, env=os.environ | PASSWORDS,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    services = json.loads(shown.stdout)["services"]
    assert set(services) == {"service", "publish", "postgres", "mlflow"}
    for each in services.values():
        assert each["read_only"]
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in each
        assert all(port["host_ip"] == "127.0.0.1" for port in each.get("ports", ()))
        if "build" in each:
            assert each["build"]["target"] in stages()
        for volume in each["volumes"]:
            own = volume["type"] == "bind" and not volume["source"].endswith(("/data", "/reports"))  # a run makes these
            assert not own or Path(volume["source"]).exists(), volume


def test_the_compose_file_names_no_password_and_asks_for_every_one() -> None:
    for missing in PASSWORDS:
        some = {name: value for name, value in PASSWORDS.items() if name != missing}
        shown = done(PROGRAMS / "docker-compose", "config", "--quiet", cwd=REPOSITORY, env=os.environ | some)
        assert shown.returncode != 0
        assert missing in shown.stderr


def test_the_commands_of_the_compose_file_have_options_that_exist() -> None:
    shown = done(
        PROGRAMS / "docker-compose", "--profile", "publish", "config", "--format=json",
        cwd=REPOSITORY, env=os.environ | PASSWORDS,
    )  # fmt: skip
    services = json.loads(shown.stdout)["services"]
    for program, name in (("fedelta", "service"), ("fedelta", "publish"), ("mlflow", "mlflow")):
        command = services[name]["command"]
        known = done(PROGRAMS / program, command[0], "--help")
        assert known.returncode == 0, known.stderr
        assert [word for word in command if word.startswith("--") and word not in known.stdout] == []


def test_a_new_postgres_has_a_database_each_for_the_service_and_mlflow(postgres: Server) -> None:
    script = REPOSITORY / "deploy/postgres-init.sh"
    assert os.access(script, os.X_OK)
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    password = url_of(postgres, "postgres").split(":")[2].split("@")[0]
    path = f"{postgres.programs}{os.pathsep}{os.environ['PATH']}"
    made = done("sh", script, env={**where, **PASSWORDS, "PGPASSWORD": password, "PATH": path})
    assert made.returncode == 0, made.stderr
    for name in ("fedelta", "mlflow"):
        own = {
            "host": "127.0.0.1",
            "port": postgres.port,
            "user": name,
            "password": PASSWORDS[f"{name.upper()}_PASSWORD"],
        }
        with psycopg.connect(dbname=name, **own) as connection:  # type: ignore[arg-type]
            connection.execute("CREATE TABLE own (id int)")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(dbname={"fedelta": "mlflow", "mlflow": "fedelta"}[name], **own)  # type: ignore[arg-type]


def test_the_systemd_unit_is_valid_and_exposes_little(tmp_path: Path, needs_system: Callable[[str], Path]) -> None:
    analyze = needs_system("systemd") / "systemd-analyze"
    text = (REPOSITORY / "docs/examples/fedelta.service").read_text()
    unit = tmp_path / "fedelta.service"
    unit.write_text(text.replace("/opt/fedelta/bin/fedelta", str(PROGRAMS / "fedelta")))
    checked = done(analyze, "verify", "--man=no", unit)
    assert (checked.returncode, checked.stderr) == (0, "")
    exposed = done(analyze, "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    assert exposed.returncode == 0, exposed.stdout[-300:]


def test_no_file_of_the_deployment_names_a_registry() -> None:
    for name in (
        "Dockerfile",
        "compose.yaml",
        "deploy/postgres-init.sh",
        "requirements/build.txt",
        "requirements/mlflow.txt",
        "requirements/scoring.txt",
    ):
        assert not re.search(
            r"pypi|ghcr\.io|docker\.io|quay\.io|https?://(?!127\.0\.0\.1)", (REPOSITORY / name).read_text()
        )
