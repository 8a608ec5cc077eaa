"""Commands of a repository as processes that can be killed: forks of one that has imported what they need."""

import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# cli.py is run as a file, as the stages of dvc.yaml do. What threads there are are allocators', which mind forks.
_FORKING = """\
import __main__, contextlib, importlib, os, sys
modules, sys.argv, sys.path[0] = sys.argv[1:], ["cli.py", "--help"], os.getcwd()
__main__.__file__ = os.path.abspath("cli.py")
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
    exec(compile(open("cli.py").read(), "cli.py", "exec"))
for name in modules:
    importlib.import_module(name)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.dup2(2, 1)
        os._exit(main(line.split()))
    os.setpgid(child, child)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Fork:
    """One command; the leader of a process group."""

    def __init__(self, answers: IO[bytes]) -> None:
        self.pid, self._answers = int(answers.readline()), answers
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        if self._code is None and select.select([self._answers], [], [], 0)[0]:
            return self.wait()
        return self._code

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self._code is None:
            self._code = int(self._answers.readline())
        return self._code


@contextmanager
def forks(repository: Path, modules: Sequence[str], env: Mapping[str, str]) -> Iterator[Callable[[str], Fork]]:
    """A function that starts `cli.py` with some words; the one before must have ended. `modules` are imported once."""
    with subprocess.Popen(
        [sys.executable, "-c", _FORKING, *modules],
        cwd=repository,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as forking:
        assert forking.stdin
        assert forking.stdout
        asked, answers = forking.stdin, forking.stdout

        def start(words: str) -> Fork:
            asked.write(f"{words}\n".encode())
            return Fork(answers)

        yield start
        asked.close()
