"""MultiBench's files, spoken digits and arrays of users: looked at, checked, and prepared for training.

``read`` (with ``unpickle`` and ``magic``) turns a file into arrays; ``affect``, ``avmnist`` (with
``speech``) and ``custom`` turn them into a prepared data set; ``prepared`` is that data set on disk; ``inspect`` tells
what a file holds before anything is done.
"""
