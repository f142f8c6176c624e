"""Data of the MultiBench study: affect data sets, AVMNIST and users' arrays, validated and prepared for training.

``source`` reads arrays from a file (``unpickle`` and ``magic`` for pickles); ``affect``, ``avmnist`` (with ``speech``)
and ``custom`` turn them into a prepared data set; ``prepared`` is that data set on disk, ``validation`` its
requirements; ``inspect`` reports the contents of a file or a prepared data set.
"""
