"""The noun Bundle: a manifest, a library and weights, in memory and in a folder.

Runs on the device: imports NumPy, `astroedge.abi`, `astroedge.step.spec` and `astroedge.errors`; no stage, nothing of
the host.
"""
