"""A `fedelta` that runs as forks of one process, which has imported what stages need: each begins seconds sooner."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# What threads there are when it forks are allocators', which mind forks.
_SERVER = """\
import __main__, contextlib, importlib, json, os, socket, sys, traceback
address, cli, *modules = sys.argv[1:]
if cli:  # run as a file, as the stages of the repository do
    sys.argv, sys.path[0], __main__.__file__ = [cli, "--help"], os.path.dirname(cli), cli
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
        exec(compile(open(cli).read(), cli, "exec"))
else:
    from fedelta.cli import main
for name in modules:
    importlib.import_module(name)

def fork(link, folder, group, words, fds):
    code = 1
    try:
        os.setpgid(0, group)  # to be killed with who asked
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.chdir(folder)
        link.send(b"?")
        if link.recv(1):  # who asked is alive
            code = main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)

with socket.socket(socket.AF_UNIX) as server:
    server.bind(address)
    server.listen()
    print("ready", flush=True)
    while True:
        with contextlib.suppress(ConnectionError), server.accept()[0] as link:
            asked, fds, *_ = socket.recv_fds(link, 65536, 3)
            if asked and not (child := os.fork()):
                fork(link, *json.loads(asked), fds)
            for fd in fds:
                os.close(fd)
            if asked:
                link.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
"""
_COMMAND = """\
#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    socket.send_fds(link, [json.dumps([os.getcwd(), os.getpgrp(), sys.argv[1:]]).encode()], [0, 1, 2])
    link.send(link.recv(1))
    sys.exit(int(link.recv(9) or 1))
"""


@contextmanager
def forks(folder: Path, modules: Sequence[str], env: Mapping[str, str], *, cli: Path | None = None) -> Iterator[Path]:
    """A folder with a command `fedelta` that runs one at a time, killed with its group.

    Parameters
    ----------
    folder : where the process begins, which a module of a foreign name in it would end
    modules : imported once
    cli : the cli.py to run as a file, of a copy of the repository; by default the installed package's
    """
    with tempfile.TemporaryDirectory(prefix="forks-") as place:  # a socket's name must be short
        address, command = f"{place}/socket", Path(place, "fedelta")
        command.write_text(_COMMAND.format(python=sys.executable, address=address))
        command.chmod(0o755)
        with subprocess.Popen(
            [sys.executable, "-c", _SERVER, address, str(cli or ""), *modules],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout
            try:
                assert server.stdout.readline() == b"ready\n"
                yield command.parent
            finally:
                server.terminate()


def first_on_path(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Variables under which the commands of a folder are found before others."""
    return {**env, "PATH": f"{folder}{os.pathsep}{env['PATH']}"}
