"""A device process: one device, one engine thread, the worker's end of the links."""
