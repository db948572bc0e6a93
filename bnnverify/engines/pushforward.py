"""placeholder"""
def require_supported(residual): raise NotImplementedError
def supports(residual): return False
def predicted_seconds(residual): return None
