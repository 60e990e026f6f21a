"""Tests that use services, processes and the paper's data."""
