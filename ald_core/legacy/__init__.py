"""Studies of the existing driver: a `config.py` and `ALL_BASE_FILES`, read without executing anything."""

from ald_core.legacy.new_study import NewStudy, new_from
from ald_core.legacy.study import OldStudy, config_beside, is_old, read_old_study

__all__ = ["NewStudy", "OldStudy", "config_beside", "is_old", "new_from", "read_old_study"]
