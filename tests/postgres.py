"""A PostgreSQL server of the test's own: in a temporary folder, on a free port of this machine, ended by its id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adbc_driver_postgresql import dbapi

PASSWORD = "hunter2-of-the-test"


@dataclass(frozen=True)
class Server:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def secret_url(self) -> str:
        return self.url.replace("postgres@", f"postgres:{PASSWORD}@")

    def run(self, *statements: str) -> None:
        """Execute statements, each in a transaction of its own."""
        for statement in statements:
            with dbapi.connect(self.secret_url) as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                connection.commit()


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server, as another user where we are root, which PostgreSQL refuses to be."""
    folder = Path(tempfile.mkdtemp(prefix="fedelta-pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    password = folder / "password"
    password.write_text(PASSWORD)
    if user:
        shutil.chown(folder, user, user)
        shutil.chown(password, user, user)
    data = folder / "data"
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}",
             "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, user=user, group=user, extra_groups=[] if user else None, cwd=folder,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Server(free.getsockname()[1])
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(server.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"],
                stdout=log, stderr=log, user=user, group=user, extra_groups=[] if user else None, cwd=folder,
            )  # fmt: skip
            try:
                _wait(server, process, folder / "log")
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # ends the sessions that are open
                process.wait(30)
    finally:
        shutil.rmtree(folder)


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            server.run("SELECT 1")
        except dbapi.Error:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")
