"""The bench: the application against yardsticks that run beside it, in the same minutes on the same core.

No figure stands alone. A machine that is slow, shared or throttled is so for both sides; their ratio stays.
"""
