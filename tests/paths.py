"""Where tests find real data and other people's networks; both may be absent."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("BNNVERIFY_DATA", REPOSITORY.parent / "shared" / "data"))
PEERS = Path(os.environ.get("BNNVERIFY_PEERS", REPOSITORY.parent / "shared" / "peers"))

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets at {DATA}; set BNNVERIFY_DATA")
needs_peers = pytest.mark.skipif(not PEERS.is_dir(), reason=f"no peer networks at {PEERS}; set BNNVERIFY_PEERS")
