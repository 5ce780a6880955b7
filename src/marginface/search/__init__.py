"""Embeddings are kept by name and found again: galleries on one machine or on a database server.

The way of the data: `enrolment` (who may come in) -> `pooling` (images to a template) -> `store_sqlite` or `postgres`
-> `exact` or `approximate` -> `operating_point` (where to draw the line). `Gallery` is the door to all of it.
"""
