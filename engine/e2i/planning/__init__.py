"""Plans a run and explains each decision. In: a checked spec and past results. Out: a frozen ``Plan``. Nothing is run
or written.
"""
