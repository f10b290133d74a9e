"""What joins the stages: compile and check, verify through a probe build, inspect, diagnose.

Imports nouns, stages and its rooms.
"""
