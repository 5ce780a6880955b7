"""A model and records of strangers become numbers with intervals, and a page to send to a colleague.

Import from the files: whoever embeds or evaluates has no need of the figures' libraries.
"""
