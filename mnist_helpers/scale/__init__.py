"""The same jobs on a Ray cluster: training, search, and folders of any size.

Needs the extra ``scale``. Each function joins the Ray cluster at `address`, or else starts one on
this machine for as long as it runs.
"""

from __future__ import annotations

from .cluster import ray_cluster, runtime_env
from .folders import predict_folder
from .search import default_search_space, tune
from .training import train_distributed

__all__ = [
    "default_search_space",
    "predict_folder",
    "ray_cluster",
    "runtime_env",
    "train_distributed",
    "tune",
]
