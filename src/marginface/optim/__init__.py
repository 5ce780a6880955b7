"""What moves the weights: parameter groups, optimisers, schedules of the learning rate, clipping, averaged weights."""

from marginface.optim.adamw import AdamWConfig
from marginface.optim.centre_rules import AdamWRule, CentreRule, SgdRule
from marginface.optim.clip import clip_gradients
from marginface.optim.ema import Ema, EmaConfig
from marginface.optim.optimizer import OptimizerConfig
from marginface.optim.param_groups import build_param_groups
from marginface.optim.schedules import CosineConfig, PolynomialConfig, ScheduleConfig, StepConfig
from marginface.optim.sgd import SgdConfig

OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "sgd": SgdConfig,
    "adamw": AdamWConfig,
}

SCHEDULES: dict[str, type[ScheduleConfig]] = {
    "step": StepConfig,
    "polynomial": PolynomialConfig,
    "cosine": CosineConfig,
}

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "AdamWConfig",
    "AdamWRule",
    "CentreRule",
    "CosineConfig",
    "Ema",
    "EmaConfig",
    "OptimizerConfig",
    "PolynomialConfig",
    "ScheduleConfig",
    "SgdConfig",
    "SgdRule",
    "StepConfig",
    "build_param_groups",
    "clip_gradients",
]
