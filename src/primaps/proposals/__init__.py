"""Principal mask proposals: iterated PCA and dense CRF. Pure functions of arrays."""
