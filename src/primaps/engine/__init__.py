"""The same stages by worker processes, on this machine or on many: slices (shards) of the images
are given out, and whatever ends a worker is found, retried or set aside.

A worker does to the images of its shard what the ordinary command does, with the same functions, in
a scratch folder of its own, and puts the results where they belong once all of them are there. So
the outputs do not depend on the number of workers, their order, or how many of them died.

Comes in: images, settings, and the number of workers.
Goes out: the folders of the ordinary command, or shards with a manifest (`primaps.shards`).
Open first: `commands`, `works`, `supervisor`.
"""
