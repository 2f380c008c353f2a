"""The tables of the pages that the code knows by itself: ``python -m docs.made`` makes them of the code.

A page has a table between two comments, of which the first names it; `tests/docs/test_made.py` says where one
is out of date.
"""
