"""What a step costs on this machine: time, memory, synaptic operations, sensors.

Imports nouns, `session`, `runtimes` itself and `checking`.
"""
