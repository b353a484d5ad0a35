"""Load the inference libraries without letting them report their use.

Both do so when they are imported: ONNX Runtime keeps a device id and a list of events under
``~/.cache/Microsoft`` and sends it to Microsoft; OpenVINO writes an id under ``~/intel`` and calls Google
Analytics. A runtime beside a scanner does neither, so both are told before they load.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from spineps_rt.machine import require_library

_TELEMETRY = "openvino_telemetry"


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off.

    Raises:
        ImportError: It is not installed, or hidden.
    """
    require_library("onnxruntime")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while the library loads; the call below comes too late
    import onnxruntime  # noqa: PLC0415 (slow to import)

    onnxruntime.disable_telemetry_events()  # for a host application that had loaded it before
    return onnxruntime


def import_openvino() -> ModuleType:
    """Import OpenVINO with its telemetry off: it takes its own stub where the sender cannot be imported.

    Raises:
        ImportError: It is not installed, or hidden.
    """
    require_library("openvino")
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino  # noqa: PLC0415 (optional)
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]
    return openvino
