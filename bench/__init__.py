"""Benchmark: the application against yardsticks that run beside it, in the same minutes on the same core.

A slow, shared or throttled machine affects both sides alike, so the results are ratios::

    python -m bench --cases trivial,http --rounds 3
"""
