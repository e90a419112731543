"""What ``uses:`` can name: tools, their actions and the types of what they take and give. In: tool declarations. Out:
``find``.
"""
