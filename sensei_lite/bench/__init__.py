"""Speed, measured on the machine at hand: ``make bench``. Timings are never part of a test."""
