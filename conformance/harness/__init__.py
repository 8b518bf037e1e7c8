"""Starts, stops and hurts clusters for every Python test here: ours, and the ZooKeeper they are validated against."""
