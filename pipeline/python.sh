#!/bin/sh
# Python of the project's environment, activated or not: `sh pipeline/python.sh cli.py stage ingest`.
#
# It is .venv of this folder or of the nearest folder above that has one (`dvc exp run --temp` works in a copy under
# .dvc/tmp), else the environment whose fedelta is on the PATH. `cli.py` runs the code of its folder, a copy's its own.
#
# Compiled modules are kept, whatever PYTHONDONTWRITEBYTECODE says: without them each stage compiles every library anew,
# four seconds of CPU in each.
unset PYTHONDONTWRITEBYTECODE
folder=$PWD
while [ ! -x "$folder/.venv/bin/fedelta" ] && [ "$folder" != / ]; do
    folder=$(dirname "$folder")
done
if [ -x "$folder/.venv/bin/fedelta" ]; then
    exec "$folder/.venv/bin/python" "$@"
fi
if command=$(command -v fedelta) && [ -x "$(dirname "$command")/python" ]; then
    exec "$(dirname "$command")/python" "$@"
fi
echo "fedelta: no Python environment with fedelta in $PWD/.venv, in a folder above or on the PATH. Run \`make setup\`," \
    "or activate the environment that fedelta is installed in." >&2
exit 127
