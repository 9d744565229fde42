"""Choose the newest versions that work together and write constraints.txt: ``make constraints``.

The few upper bounds below are faults of real packages, found by trying; everything else is as new as it gets.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

BOUNDS = """
jax==0.10.2         # the last for Python 3.11
gymnasium==1.2.0    # nle 1.3.0 asks for exactly this one
minihack==1.0.2
nle==1.3.0
mujoco==3.17.0      # dm_control 1.0.50 does not run with 4.0
"""

HEADER = """\
# The versions that were tested together, for every extra, Python 3.11 to 3.13, Linux, macOS and Windows.
# The Makefile, environment.yml and continuous integration all install with this file.
# Make it anew with `make constraints`. GPU libraries are left out: torch and jax choose their own.
"""


def main() -> None:
    """Resolve with uv and keep name, version and marker only: no address of any index."""
    command = [Path(sys.executable).parent / "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal"]
    command += ["--python-version", "3.11", "--no-emit-index-url", "--no-annotate", "--no-header", "-c", "-", "--quiet"]
    lines = subprocess.run(
        command, cwd=ROOT, input=BOUNDS, text=True, check=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    kept = [line for line in lines if re.match(r"[a-z0-9]", line) and not re.match(r"nvidia-|cuda-|triton", line)]
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(kept) + "\n")
    print(f"constraints.txt pins {len(kept)} versions")


if __name__ == "__main__":
    main()
