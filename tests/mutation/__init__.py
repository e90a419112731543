"""Broken specs made from good ones by a program, and what the engine makes of them: see ``mutate`` and ``judge``."""
