"""Pages for people: profiles and step graphs as single HTML files that need no network.

Imports nouns and `targets.boards`.
"""
