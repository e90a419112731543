"""Send a worker's messages to the engine. In: messages. Out: lines of JSON on the control socket.

Telemetry is sent in batches: a step may record a hundred thousand metrics, and one write each would cost more than the
work. When the engine falls behind, the socket is full and the step waits.
"""

from __future__ import annotations

import socket
import threading
import time

from e2i.errors import StepError
from e2i.telemetry.bodies import Measurement
from e2i.workers.messages import Report, encode_report

BATCH = 500
"""Number of telemetry entries in one batch."""
POLL_TIMEOUT = 0.05
"""Maximum time in seconds that an entry waits for others."""
QUOTA = 100_000
"""Maximum number of telemetry entries of one attempt."""
QUOTA_BYTES = 32 << 20


class Outgoing:
    """The worker's connection to the engine, for all threads of a step."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._wakened = threading.Event()
        self._sender: threading.Thread | None = None
        self._count = self._bytes = 0

    def begin(self) -> None:
        """Start a new attempt and reset its quota."""
        self._count = self._bytes = 0

    def __call__(self, message: Report | Measurement) -> None:
        """Send a message and all pending ones; measurements wait for a batch. Raises StepError above the quota."""
        if isinstance(message, Measurement):
            return self._collect(encode_report(message))
        line = encode_report(message).encode() + b"\n"
        with self._lock:
            self._flush()
            self._connection.sendall(line)
        return None

    def _collect(self, entry: str) -> None:
        with self._lock:
            self._count += 1
            self._bytes += len(entry)
            if self._count > QUOTA or self._bytes > QUOTA_BYTES:
                raise StepError(
                    f"the step records too much telemetry: more than {QUOTA:,} metrics, parameters "
                    f"and children, or more than {QUOTA_BYTES >> 20} MiB of them, in one attempt",
                    code="too-much-telemetry",
                    hint="record every n-th value, or store all values in a table",
                )
            self._waiting.append(entry)
            if len(self._waiting) >= BATCH:
                self._flush()
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_late, name="e2i-telemetry", daemon=True)
            self._sender.start()
        if not self._wakened.is_set():
            self._wakened.set()

    def _flush(self) -> None:
        if self._waiting:
            line = f'{{"message":"telemetry","measured":[{",".join(self._waiting)}]}}\n'
            self._waiting.clear()
            self._connection.sendall(line.encode())

    def _send_late(self) -> None:
        """Send entries that have waited for the maximum time."""
        while True:
            self._wakened.wait()
            self._wakened.clear()
            time.sleep(POLL_TIMEOUT)
            with self._lock:
                try:
                    self._flush()
                except OSError:  # the engine has exited, and this process ends with it
                    return
