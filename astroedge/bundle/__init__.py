"""The noun Bundle: a manifest, a library and weights, in memory and in a folder.

Runs on the device. Imports NumPy, `errors`, `strict_json`, `regular_file`, `replace_file`, `abi`, `step.spec` and
`step.assets`; no stage, nothing of the host.
"""
