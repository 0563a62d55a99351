"""Pure mathematics on arrays: no Parameter, no Layer, no state.

Small functions return `(y, backward)`; those worth a CUDA kernel are pairs `op` / `op_backward`
with their residuals in a NamedTuple, so that a kernel can replace either by name.
"""
