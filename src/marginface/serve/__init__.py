"""Searches and comparisons over HTTP, and one web page.

The way of a request: `guard` (size, time, origin) -> `access` (who asks, how often) -> `bodies` (bytes to photographs)
-> `routes` -> `service` (photographs to answers, no HTTP) -> `batching` (faces of many requests through the model
together). `run` starts and stops it all.
"""
