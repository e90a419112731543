"""The commands. In: arguments. Out: text for people or JSON for programs, and an exit code; all work is done by
``e2i.api``.
"""
