"""Parts of `tools/fuzz_run_files.py`: the files that are mutated, how, and the commands that read
them.
"""
