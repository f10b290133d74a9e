"""What a command is given: a model's source, a NIR file, arrays in files.

Imports nouns and exporters; no other workflow.
"""
