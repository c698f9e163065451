"""The viewer: one front end for the report and the studio, and what embeds it.

Comes in: what travels to the viewer (``web/types.js``), photographs and id maps as bytes.
Goes out: one HTML page.
Open first: `page.py`, then `pictures.py`; the front end itself lies in ``web/``.
"""
