"""The frame of a study: a config, cells that are computed once each, an analysis, and a page.

``config``: settings in the study's folder. ``study``: plan, run and report. ``grid``: studies of trained cells.
``cells``: files of finished cells. ``jobs``, ``workers``: work on threads and in processes. ``progress``: time left.
``results``: tables and study.json.
"""
