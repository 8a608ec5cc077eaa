"""A Spark master with two workers on the loopback, for tests: processes that are stopped by their ids."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_SECONDS = 120  # that a busy machine may need to start a JVM


@dataclass(frozen=True)
class Cluster:
    """Its address, and the processes that start executors."""

    master: str
    workers: tuple[psutil.Process, ...]

    def executors(self) -> list[psutil.Process]:
        """The executors that run now."""
        return [child for worker in self.workers for child in worker.children() if "java" in child.name()]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster whose files lie in a folder."""
    port = free_port()
    with _daemon("master.Master", folder / "master.log", "--port", str(port), "--webui-port", "0") as master:
        _wait_for(port, master, folder / "master.log")
        address = f"spark://{HOST}:{port}"
        ones = [
            _daemon(
                "worker.Worker", folder / f"worker-{number}.log", "--webui-port", "0", "--cores", "1", "--memory", "1g",
                "--work-dir", str(folder / f"work-{number}"), address,
            )
            for number in (1, 2)
        ]  # fmt: skip
        with ones[0] as one, ones[1] as other:
            yield Cluster(address, tuple(psutil.Process(worker.pid) for worker in (one, other)))


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def _daemon(name: str, log: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    import pyspark

    home = Path(pyspark.__file__).parent
    command = [home / "bin/spark-class", f"org.apache.spark.deploy.{name}", "--host", HOST, *words]
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    env = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "256m"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**env, "SPARK_DAEMON_JAVA_OPTS": quick}, stdout=file, stderr=file)
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait()
        for child in psutil.wait_procs(children, 20)[1]:
            child.kill()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"The Spark master does not answer: {log.read_text()[-2000:]}")
