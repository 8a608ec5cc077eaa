"""Buckets on Apache Spark: each is a task of its own, and what a worker of this machine does is done by an executor.

Nothing of the work is written anew for Spark: the driver sends the function and where its data lie, the executors read
and write the project's folder, which they see at the same place. So the results are the same bytes. Spark runs a task
again whose executor was lost, and may run one twice at once; what tasks return counts once all the same.
"""

import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import pyarrow as pa

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.buckets.pool import ENVIRONMENT, Pool, R, T
from fedelta.pipeline.params import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LEAST = (4, 1)  # the version of Spark
_LEAST_JAVA = 17
_SECONDS = 5.0  # that a master has to answer
_ANSWER = pa.schema([("number", pa.int64()), ("answer", pa.binary())])
_LOOPBACK = "127.0.0.1"
_PORTS = {"spark": 7077, "k8s": 443, "sc": 15002}
# The JVM only passes work on: it starts in half the time when it compiles less.
_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class NoSpark(FedeltaError):
    """Spark cannot be used here."""


class SparkFailed(FedeltaError):
    """A job of Spark's came to no end."""


@dataclass(frozen=True)
class _Task(Generic[T, R]):
    """What an executor does with the numbers that are dealt to it: the items of these numbers are worked on."""

    folder: Path  # the project's
    function: Callable[[T], R]
    items: Sequence[T]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Number and pickled answer of each; an error that tells the user everything is an answer, not a failure."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                try:
                    _enter(self.folder)
                    answer: R | FedeltaError = self.function(self.items[number])
                except FedeltaError as error:
                    answer = error
                yield pa.RecordBatch.from_arrays([[number], [pickle.dumps(answer)]], schema=_ANSWER)


def _enter(folder: Path) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise SparkFailed(
            f"{socket.gethostname()} does not see the project's folder {folder} ({error.strerror}). Put the project on "
            "a volume that every executor mounts at this place."
        ) from None


@dataclass(frozen=True)
class _Executors:
    session: "SparkSession"

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """See `Pool.map`. A partition per item: a failure costs one, and no shuffle deals them anew."""
        task = _Task(Path.cwd(), function, items)
        numbers = self.session.range(0, len(items), 1, max(len(items), 1))
        with _in_a_line(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            rows = numbers.mapInArrow(task, "number bigint, answer binary").collect()
        for _, answer in sorted((row["number"], row["answer"]) for row in rows):
            found = pickle.loads(answer)  # noqa: S301 - of our own executors
            if isinstance(found, FedeltaError):
                raise found
            yield found


@contextmanager
def executors(settings: SparkSettings) -> Iterator[Pool]:
    """The executors of a Spark session, which ends with the block.

    Raises
    ------
    NoSpark
        If pyspark, Java or the master is missing.
    """
    session = _session(settings)
    try:
        yield _Executors(session)
    finally:
        session.stop()


def _session(settings: SparkSettings) -> "SparkSession":
    _must_have_pyspark()
    _must_answer(settings.master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if _is_here(settings.master):
        os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    with _in_a_line(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

        connect = settings.master.startswith("sc://")
        if connect:
            builder = SparkSession.builder.remote(settings.master)
        else:
            _must_have_java()
            builder = SparkSession.builder.master(settings.master).appName("fedelta")
        usual = {} if connect else _usual(settings.master)
        for name, value in (usual | dict(settings.conf)).items():
            builder = builder.config(name, str(value).lower() if isinstance(value, bool) else value)
        return builder.getOrCreate()


def _usual(master: str) -> dict[str, str | int | bool]:
    """Settings that `conf` may change. Nothing is served, resolved or reported to anybody."""
    usual: dict[str, str | int | bool] = {
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
        "spark.driver.maxResultSize": 0,  # what the driver asks for, it holds
        "spark.driver.extraJavaOptions": _JVM,
        "spark.executor.extraJavaOptions": _JVM,
        **{f"spark.executorEnv.{name}": value for name, value in ENVIRONMENT.items()},
    }
    if _is_here(master):
        usual |= {"spark.driver.host": _LOOPBACK, "spark.driver.bindAddress": _LOOPBACK}
    return usual


def _is_here(master: str) -> bool:
    return master.startswith("local") or _LOOPBACK in master


def _must_have_pyspark() -> None:
    try:
        import pyspark  # noqa: PLC0415 - an extra
    except ImportError:
        raise NoSpark(
            "engine.backend is spark, and pyspark is not installed. Install requirements/spark.txt, or set "
            "engine.backend: duckdb."
        ) from None
    if tuple(map(int, re.findall(r"\d+", pyspark.__version__)[:2])) < _LEAST:
        raise NoSpark(f"pyspark is {pyspark.__version__}; fedelta needs 4.1 or newer. Install requirements/spark.txt.")


def _must_have_java() -> None:
    """Refuse a machine without Java 17 or newer, which pyspark would find in JAVA_HOME or on the path."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin/java")) if home else shutil.which("java")
    wanted = f"Spark needs Java {_LEAST_JAVA} or newer"
    where = "Install openjdk-17-jre-headless or newer and set JAVA_HOME to it, or set engine.backend: duckdb."
    try:
        shown = subprocess.run([java or "java", "-version"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        raise NoSpark(f"{wanted}; there is none{f' in JAVA_HOME ({home})' if home else ''}. {where}") from None
    found = re.search(r'version "(\d+)', shown)
    if found is None or int(found[1]) < _LEAST_JAVA:
        raise NoSpark(f"{wanted}; {java} is {found[1] if found else 'of an unknown version'}. {where}")


def _must_answer(master: str) -> None:
    """Refuse a master that does not answer, which Spark itself would wait for a minute.

    Of several (``spark://a:7077,b:7077``) one is enough.
    """
    kind, _, rest = master.partition("://")
    if re.fullmatch(r"local(\[(\d+|\*)(, *\d+)?\])?", master):
        return
    if kind not in _PORTS or not rest:
        raise NoSpark(
            f"engine.spark.master is {master!r}; it must be local[2], spark://HOST:7077, k8s://https://HOST:443 or "
            "sc://HOST:15002."
        )
    why = ""
    for address in rest.rpartition("://")[2].split(","):
        host, _, port = address.partition("/")[0].partition(":")
        try:
            socket.create_connection((host, int(port or _PORTS[kind])), _SECONDS).close()
        except (OSError, ValueError) as error:
            why = str(error)
        else:
            return
    raise NoSpark(
        f"The Spark master {master} does not answer ({why}). Start it, or correct engine.spark.master in params.yaml."
    )


@contextmanager
def _in_a_line() -> Iterator[None]:
    """Errors of Spark's as one line: that of the executor where there is one."""
    try:
        yield
    except FedeltaError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark", "py4j", "grpc")):
            raise
        raise SparkFailed(f"Spark: {_reason(error)}") from error


_TELLING = re.compile(
    r"^(?:\w+\.)*\w*(?:Error|Exception|Exit): .+|^.*(?:Job aborted|ExecutorLostFailure).*", re.MULTILINE
)


def _reason(error: Exception) -> str:
    """The first line of an error that tells something."""
    text = str(error)
    found: Sequence[str] = _TELLING.findall(text)
    return (found[0] if found else text.strip().splitlines()[0])[:400]
