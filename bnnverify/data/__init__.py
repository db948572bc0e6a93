"""Readers of data sets and instance files; everything checked, nothing unpickled."""

from bnnverify.data.dataset import Dataset
from bnnverify.data.instances import Instances, load_instances
from bnnverify.data.lookup import catalog, default_folders, load_dataset
from bnnverify.data.resolve import resolve_input

__all__ = [
    "Dataset",
    "Instances",
    "catalog",
    "default_folders",
    "load_dataset",
    "load_instances",
    "resolve_input",
]
