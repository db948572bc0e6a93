"""Readers of data sets and instance files; everything checked, nothing unpickled."""

from bnnverify.data.dataset import Dataset
from bnnverify.data.instances import Instances, load_instances
from bnnverify.data.lookup import catalog, default_folders, load_dataset, load_tabular
from bnnverify.data.resolve import resolve_input
from bnnverify.data.tabular import TabularDataset

__all__ = [
    "Dataset",
    "Instances",
    "TabularDataset",
    "catalog",
    "default_folders",
    "load_dataset",
    "load_instances",
    "load_tabular",
    "resolve_input",
]
