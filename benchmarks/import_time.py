"""What `import dgmcourse` costs beyond `import torch`: medians over fresh interpreters.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

TIMED = "import time; import torch; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
CASES = {
    "import dgmcourse": "import dgmcourse",
    "from dgmcourse import VAE, fit": "from dgmcourse import VAE, fit",
    "from dgmcourse import data": "from dgmcourse import data",
}


def main() -> None:
    for name, code in CASES.items():
        times = [
            float(subprocess.run([sys.executable, "-c", TIMED.format(code)], capture_output=True, check=True).stdout)
            for _ in range(7)
        ]
        print(f"{name}: {statistics.median(times):.3f} s beyond torch (median of {len(times)})")


if __name__ == "__main__":
    main()
