"""Parts of the documentation's pages that are made from the code when the site is built.

A page names such a part in a line ``<!-- made from the code: NAME -->``; `parts.PARTS` knows the
names. Open first: `parts`.
"""
