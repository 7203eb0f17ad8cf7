"""Everything with controls: the canvas, and the figures that follow a slider.

All state lies in Python. What the browser does by itself (ink, and saying that the kernel is busy)
is in `browser`.
"""
