"""The interface for agents: an MCP server over the same functions as the commands. Only ``server`` and ``http`` use the
SDK.
"""
