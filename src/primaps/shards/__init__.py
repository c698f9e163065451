"""Many images as slices: where inputs and outputs lie on disk or in an object store, the plan of
slices (shards), and one file (tar or Parquet) with a record for the outputs of each.

Comes in: folders, URLs and tar files of images; files that were made of the images of a shard.
Goes out: references to images, the images of a shard as files, files of shards and their records,
and the same back again, or an error that says what to do.
Open first: `places`, `plan`, `records`.
"""
