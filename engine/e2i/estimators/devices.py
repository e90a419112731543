"""Find whether a library can fit on a GPU of this machine. In: an algorithm and a device. Out: which, and why."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.estimators import algorithms

if TYPE_CHECKING:
    from e2i.estimators.options import DeviceName

DRIVER = "libcuda.so.1"


class Used(Struct, frozen=True):
    """The device of a fit, and a note where it is not the one that was asked for."""

    device: DeviceName
    note: str | None = None


def usable(algorithm: str, device: DeviceName) -> Used:
    """Return the device that the library of an algorithm can use here: the CPU where there is no GPU for it."""
    if device == "cpu":
        return Used("cpu")
    lacking = _lacking(algorithms.of(algorithm).flavour)
    return (
        Used("cuda") if lacking is None else Used("cpu", f"device cuda: {lacking}, so the model was fitted on the CPU")
    )


@cache
def _lacking(flavour: str) -> str | None:
    """Return what a library lacks to fit on a GPU; None when it lacks nothing. The machine does not change in a run."""
    if not _count():
        return "this machine has no NVIDIA GPU"
    match flavour:
        case "xgboost":
            import xgboost

            has_gpu = bool(xgboost.build_info().get("USE_CUDA"))
        case "lightgbm":
            has_gpu = _lightgbm_has_gpu()
        case "catboost":
            from catboost.utils import get_gpu_device_count

            has_gpu = bool(get_gpu_device_count())
        case _:
            has_gpu = False
    return None if has_gpu else f"this build of {flavour} does not support it"


def _count() -> int:
    """Return the number of GPUs that NVIDIA's driver offers this process; 0 without a driver."""
    import ctypes

    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _lightgbm_has_gpu() -> bool:
    """Return whether LightGBM was built with CUDA, which it does not say: it refuses to fit if not."""
    import lightgbm
    import numpy as np

    rows = lightgbm.Dataset(np.arange(40.0).reshape(-1, 1), np.arange(40.0), params={"verbosity": -1})
    try:
        lightgbm.train({"device_type": "cuda", "verbosity": -1, "num_threads": 1}, rows, 1)
    except lightgbm.basic.LightGBMError:
        return False
    return True
