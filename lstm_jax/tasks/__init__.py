"""One file a task: data, model, loss, metrics, and what one shows of the result."""

from lstm_jax.tasks.anomaly_detection import anomaly_detection
from lstm_jax.tasks.audio_classification import audio_classification
from lstm_jax.tasks.forecasting import forecasting
from lstm_jax.tasks.frame_prediction import frame_prediction
from lstm_jax.tasks.language_model import language_model
from lstm_jax.tasks.memory import memory
from lstm_jax.tasks.series_classification import series_classification
from lstm_jax.tasks.speech_recognition import speech_recognition
from lstm_jax.tasks.task import Compute, Dataset, Learner, Metric, Task
from lstm_jax.tasks.text_classification import text_classification
from lstm_jax.tasks.translation import translation
from lstm_jax.tasks.video_anomaly_detection import video_anomaly_detection
from lstm_jax.tasks.video_captioning import video_captioning
from lstm_jax.tasks.video_classification import video_classification

__all__ = [
    "Compute",
    "Dataset",
    "Learner",
    "Metric",
    "Task",
    "anomaly_detection",
    "audio_classification",
    "forecasting",
    "frame_prediction",
    "language_model",
    "memory",
    "series_classification",
    "speech_recognition",
    "text_classification",
    "translation",
    "video_anomaly_detection",
    "video_captioning",
    "video_classification",
]
