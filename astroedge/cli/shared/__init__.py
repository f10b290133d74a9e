"""What several commands have in common: options, tables, lines on the terminal.

Imports nouns and workflows, never a command.
"""
