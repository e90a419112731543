"""For the tests of tools, those of e2i and of plug-ins: the contract of a tool, and a context to call actions with.

``contract.RULES`` are the rules, ``contract.Subject.of("words", tmp_path)`` is what they check, and
``context.LocalContext(tmp_path)`` is the ``ctx`` of an action in this process.
"""
