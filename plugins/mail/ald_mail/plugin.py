"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Notifier
from ald_mail.notifier import MailNotifier


@hookimpl
def ald_notifiers() -> list[type[Notifier]]:
    """Offer the notifier `mail`."""
    return [MailNotifier]
