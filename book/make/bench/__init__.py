"""Measure speed on this machine."""
