"""What is measured, on its way to the trackers.

``bodies`` and ``entries`` define what waits and what takes it, ``outbox`` keeps it durably, ``dispatcher`` delivers it.
A run fills the outbox (``execution.telemetry``); the delivery process (``execution.delivery``) and ``e2i sync`` empty
it into the sinks of the tools (``tools.*.sink``).
"""
