"""The bundled backbone `mini`.

Comes in: a normalised batch.
Goes out: 387 channels at stride 8.
Open first: `backbone`; `plain` and `compiled` are twins of its costly parts, in torch and in loops.
"""
