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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi

PASSWORD = "hunter2-of-the-test"


@dataclass
class Server:
    """Where it listens, and where its files and programs are."""

    port: int
    folder: Path
    programs: Path
    _process: "subprocess.Popen[bytes]" = field(init=False)

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

    def start(self) -> None:
        """Start it, or start it again where it was killed; it answers when this returns."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
                 "-c", "fsync=off"],
                stdout=log, stderr=log, cwd=self.folder, **_user(),
            )  # fmt: skip
        _wait(self, self._process, self.folder / "log")

    def kill(self) -> None:
        """End it at once, without a word to anybody, as when its machine loses power."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server, as another user where we are root, which PostgreSQL refuses to be."""
    folder = Path(tempfile.mkdtemp(prefix="fedelta-pg-"))
    password = folder / "password"
    password.write_text(PASSWORD)
    if user := _user().get("user"):
        shutil.chown(folder, user, user)
        shutil.chown(password, user, user)
    try:
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=md5",
             f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **_user(),
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Server(free.getsockname()[1], folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.kill()  # nothing of it is kept
    finally:
        shutil.rmtree(folder)


def _user() -> dict[str, Any]:
    """Whom to run a program as."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


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
