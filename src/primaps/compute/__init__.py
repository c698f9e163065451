"""Where and how things are computed; knows nothing of the method.

Comes in: functions and the images to call them on.
Goes out: the same results for any number of cores and processes.
Open first: `cores` (threads), `processes`, then `compiling`.
"""
