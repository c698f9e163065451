"""The studio's server: the viewer of a run in the browser, with everything that edits.

Comes in: a folder of label maps; requests of a browser, none of which is trusted.
Goes out: pages, pictures and JSON; edits and jobs, done by the pipeline.
Open first: `app` (the list of addresses), `guarding`, `served`, `serving`.
"""
