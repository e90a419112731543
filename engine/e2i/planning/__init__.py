"""What a run would do, and why. In: a checked spec and past results. Out: a frozen ``Plan``; nothing is run or
written.
"""
