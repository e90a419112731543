"""Measure the machine during a run, for a tracker that shows it. In: a clock. Out: figures by MLflow's names.

The figures and their units are those of ``mlflow.system_metrics``: percent, and megabytes of 10^6 bytes. The traffic of
the network is counted from the start of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

INTERVAL = 10.0
"""Seconds between two measurements, as in MLflow."""
MEGABYTE = 1e6


class MachineWatch:
    """Measures the machine every ``INTERVAL`` seconds. Raises ModuleNotFoundError without psutil."""

    def __init__(self, clock: Callable[[], float]) -> None:
        import psutil

        self._clock = clock
        self._next = clock()
        self._network = psutil.net_io_counters()
        psutil.cpu_percent()  # the next value is the use since this call

    def due(self) -> bool:
        """Returns whether it is time to measure."""
        return self._clock() >= self._next

    def measure(self) -> Mapping[str, float]:
        """Returns the figures of now; the use of the processors is the mean since the last call."""
        import psutil

        self._next = self._clock() + INTERVAL
        memory, disk, network = psutil.virtual_memory(), psutil.disk_usage(os.sep), psutil.net_io_counters()
        found = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / MEGABYTE,
            "disk_available_megabytes": disk.free / MEGABYTE,
        }
        if network is not None and self._network is not None:  # a machine may have no network
            found["network_receive_megabytes"] = (network.bytes_recv - self._network.bytes_recv) / MEGABYTE
            found["network_transmit_megabytes"] = (network.bytes_sent - self._network.bytes_sent) / MEGABYTE
        return {name: round(float(value), 3) for name, value in found.items()}
