"""The words that one may write in `assets/`."""

from ml_platform.components.endpoint import Endpoint
from ml_platform.components.feature_view import FeatureView
from ml_platform.components.landing import Landing
from ml_platform.components.model import Model
from ml_platform.components.monitor import Monitor
from ml_platform.components.predictions import Predictions
from ml_platform.components.request_time import RequestTimeFeatures
from ml_platform.components.source import Source
from ml_platform.components.table import Table
from ml_platform.components.training_set import TrainingSet

__all__ = [
    "Endpoint",
    "FeatureView",
    "Landing",
    "Model",
    "Monitor",
    "Predictions",
    "RequestTimeFeatures",
    "Source",
    "Table",
    "TrainingSet",
]
