"""CAMB's task API on a port and a receiver that verifies: for people, tests and benchmarks alike."""
