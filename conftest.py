"""What holds for every test and every notebook.

It stands here, not in tests/, so that `pytest --nbmake notebooks/05_prediction.ipynb` has it too.
"""

pytest_plugins = ("hermetic", "kinds", "plan")  # in tests/plugins
