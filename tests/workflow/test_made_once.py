"""What the worker makes before it forks is there for the stages."""

import importlib
import importlib.util

from permafrost.workflow import worker


def test_the_worker_knows_what_it_is_to_load():
    assert all(importlib.util.find_spec(name) for name in worker.LATE)
    assert "permafrost.workflow.made_once" in worker.LATE


def test_what_is_made_once_is_made_when_it_is_loaded():
    from permafrost.signature.ranking import tables

    importlib.import_module("permafrost.workflow.made_once")
    before = tables.candidates.cache_info().misses, tables.sets.cache_info().misses
    tables.candidates(), tables.sets()
    assert (tables.candidates.cache_info().misses, tables.sets.cache_info().misses) == before == (1, 1)
