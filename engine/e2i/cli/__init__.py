"""The command line interface.

In: arguments. Out: text for people or JSON for programs, and an exit code. All work is done by ``e2i.api``.
"""
