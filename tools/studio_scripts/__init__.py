"""What scripts need to use the studio as a person does: the command running, its HTTP API, a
browser.
"""
