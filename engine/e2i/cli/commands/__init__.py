"""The commands of ``e2i``, grouped by subject.

In: arguments. Out: one call, its printed result, and an exit code. What a command needs is imported when it runs.
"""
