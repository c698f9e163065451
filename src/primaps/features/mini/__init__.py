"""The bundled backbone `mini`: `backbone` loads it; `plain` and `compiled` are its forward pass, in
torch and in loops.
"""
