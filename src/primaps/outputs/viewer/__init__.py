"""The viewer: one front end for the report and the studio, and what embeds it.

Comes in: a `Viewed` run. Goes out: one HTML page. Open first: `web/types.js`, then `page.py`.
"""
