"""What a user names as INPUT: a data set's split, bundled instances, or a file."""

from __future__ import annotations

import os
from pathlib import Path

from bnnverify.data.bundled import INSTANCES_OF, bundled_instances
from bnnverify.data.instances import Instances, load_instances
from bnnverify.data.lookup import is_dataset_spec, load_dataset
from bnnverify.data.sources import SOURCES
from bnnverify.errors import InputFormatError


def resolve_input(spec_or_path: str | Path, data_dir: Path | None = None) -> Instances:
    """The instances that ``mnist:test``, the name of bundled instances, or a path stands for.

    Raises:
        InputFormatError: if it is none of these, or what it names cannot be read.
        UnsupportedError: if an extra that reads it is not installed.
    """
    text = str(spec_or_path)
    for network, instances in INSTANCES_OF.items():
        if text == instances:
            return bundled_instances(network)
    if is_dataset_spec(text):
        data = load_dataset(text, data_dir)
        return Instances(data.images, data.labels, data.name)
    if ":" in text and not os.path.exists(text):
        raise InputFormatError(f"{text}: no data set of that name, expected one of {', '.join(SOURCES)}")
    return load_instances(text)
