"""From clusters to classes: names, merges, colours and corrections, as text and as tables. Files
are read and written elsewhere (`primaps.runs.named_files`, `primaps.pipeline.classes`).
"""
