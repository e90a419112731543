"""Tests of specs, of tools and of plug-ins.

Of specs, ``e2i test``: ``suite`` is the route from test files to results; ``models`` is the shape of a test file. Of
tools: ``contract.RULES`` are the rules, ``contract.Subject.of("words", tmp_path)`` is what they check, and
``context.LocalContext(tmp_path)`` is the ``ctx`` of an action in this process.
"""
