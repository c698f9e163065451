"""From label maps to annotated data sets, one module per format; `registry` knows them all."""
