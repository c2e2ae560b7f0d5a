"""What starting the commands costs, beside the least that any lane program needs: `import numpy, cv2`.

    python benchmarks/startup.py

Prints user CPU seconds (median of the rounds) and ratios to the least, all taken in turns in one run.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
LEAST = "import numpy, cv2"
CONTESTANTS = {
    LEAST: [sys.executable, "-c", LEAST],
    "import lgad_lightning": [sys.executable, "-c", "import lgad_lightning"],
    "import lgad_lightning.metrics.functional": [sys.executable, "-c", "import lgad_lightning.metrics.functional"],
    "import torch": [sys.executable, "-c", "import torch"],
    **{f"lgad-{name} --help": [str(SCRIPTS / f"lgad-{name}"), "--help"] for name in ("eval", "data", "fit", "cli")},
}


def user_seconds(command: list[str]) -> float:
    """User CPU time of a command and its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for number in range(rounds + 1):
        for name, command in CONTESTANTS.items():
            seconds = user_seconds(command)
            if number:  # the first round warms the disk's cache
                times[name].append(seconds)
    least = statistics.median(times[LEAST])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:45} {median:6.2f} s   {median / least:5.1f} times")


if __name__ == "__main__":
    main()
