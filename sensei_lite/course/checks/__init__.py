"""Checks for the exercises of the notebooks: one module for each notebook, one function for each exercise.

A check is called with what the reader wrote and gives a `Verdict`: right, not yet, or not quite, with what was
expected, what came and a likely cause. It compares with values that were worked out by other means (by hand, or by the
package), never with the attempt itself.
"""

from sensei_lite.course.checks.verdict import NotQuite, NotYet, Verdict, check, expect, result_of

__all__ = ["NotQuite", "NotYet", "Verdict", "check", "expect", "result_of"]
