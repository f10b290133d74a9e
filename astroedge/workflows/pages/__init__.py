"""Pages for people: profiles and step graphs as single HTML files that need no network.

Imports nouns, `targets.boards` and `exporters.graph`.
"""
