"""What this process has cost so far, from its start on."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path


def spent() -> dict[str, float]:
    """Read seconds since the process began, processor seconds of its threads, and its peak memory in MB."""
    began = float(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return {
        "seconds": round(uptime - began / os.sysconf("SC_CLK_TCK"), 2),
        "processor_seconds": round(time.process_time(), 2),
        "peak_mb": round(int(peak[1]) / 1024, 1) if peak else float("nan"),
    }
