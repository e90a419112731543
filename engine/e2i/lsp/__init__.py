"""The language server of editors: ``analysis`` checks a text, the modules beside it answer, ``server`` speaks LSP."""
