"""alpacakit: seed tasks in, an instruction-following model out; every stage is a plugin.

These names are the public API: what a plugin may import.
"""

from alpaca_core.errors import AlpacaError, ConfigError, MissingError, Stopped, TeacherError
from alpaca_core.hookspecs import hookimpl
from alpaca_core.markers import no_input
from alpaca_core.protocols import (
    Ask,
    BatchTeacher,
    ChatTemplate,
    DatasetFilter,
    Filter,
    LocalTeacher,
    Prompt,
    Teacher,
    Trainer,
)
from alpaca_core.records import (
    BatchStatus,
    Candidate,
    Check,
    Completion,
    Example,
    Flag,
    Keep,
    Limits,
    Plan,
    Price,
    Reject,
    Repair,
    Request,
    RowLoss,
    Seed,
    TrainEstimate,
    TrainEvent,
    TrainJob,
    TrainResult,
    Unparsed,
    Usage,
    Verdict,
)
from alpaca_core.specs import ChatTemplateSpec, FilterSpec, PromptSpec, TeacherSpec, TrainerSpec
from alpaca_core.steplog import StepLog
from alpaca_core.tokens import unicode_tokens

__all__ = [
    "AlpacaError",
    "Ask",
    "BatchStatus",
    "BatchTeacher",
    "Candidate",
    "ChatTemplate",
    "ChatTemplateSpec",
    "Check",
    "Completion",
    "ConfigError",
    "DatasetFilter",
    "Example",
    "Filter",
    "FilterSpec",
    "Flag",
    "Keep",
    "Limits",
    "LocalTeacher",
    "MissingError",
    "Plan",
    "Price",
    "Prompt",
    "PromptSpec",
    "Reject",
    "Repair",
    "Request",
    "RowLoss",
    "Seed",
    "StepLog",
    "Stopped",
    "Teacher",
    "TeacherError",
    "TeacherSpec",
    "TrainEstimate",
    "TrainEvent",
    "TrainJob",
    "TrainResult",
    "Trainer",
    "TrainerSpec",
    "Unparsed",
    "Usage",
    "Verdict",
    "hookimpl",
    "no_input",
    "unicode_tokens",
]
