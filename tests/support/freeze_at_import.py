"""The last module that a fork server imports: forks neither search nor copy the objects of the libraries."""

from support.frozen import freeze

freeze()
