"""Every setting as data, and the one way to read them.

A daemon's settings are a frozen dataclass whose fields carry their default, help and bounds. From
these tables alone come the parser of files, environment variables and flags, ``--help`` and the
commented files in ``config/``.
"""

from cube.settings.collecting import (
    CollectorLimits,
    DialectSettings,
    HorizonSettings,
    IntakeSettings,
    RetentionSettings,
    SpoolSettings,
)
from cube.settings.daemons import (
    BlockSettings,
    BoardSettings,
    CollectorSettings,
    DaemonSettings,
    EvaluatorLimits,
    EvaluatorSettings,
    HttpSettings,
    SqlSettings,
    StreamSettings,
)
from cube.settings.document import commented_toml, markdown_table
from cube.settings.environments import EnvironmentSettings, KeySettings, environments_of
from cube.settings.load import is_link, load, settings_of_both, unknown_variables, variable
from cube.settings.setting import Setting, settings_of
