"""Distributions of their own, tested where they are installed: see tests/test_third_party.py."""

collect_ignore_glob = ["*/*"]
