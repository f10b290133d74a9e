"""The passes that turn a step graph into one native function, in the order of the pipeline.

import_graph → find_spikes → legalize → step_program → choose_kernels → plan_memory → build_object → make_manifest
"""
