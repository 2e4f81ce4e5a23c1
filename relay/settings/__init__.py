"""How the relay is configured. Nothing here reads the process's environment: it is handed in."""

from relay.settings.errors import ConfigurationError
from relay.settings.load import load_settings
from relay.settings.model import Settings
from relay.settings.sections import (
    CallbacksSettings,
    CambSettings,
    ClientSettings,
    ConsoleSettings,
    DatabaseSettings,
    DeliverySettings,
    LoggingSettings,
    OperatorSettings,
    PollingSettings,
    RegistrationsSettings,
    RetentionSettings,
    ServerSettings,
)

__all__ = [
    "CallbacksSettings",
    "CambSettings",
    "ClientSettings",
    "ConfigurationError",
    "ConsoleSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "LoggingSettings",
    "OperatorSettings",
    "PollingSettings",
    "RegistrationsSettings",
    "RetentionSettings",
    "ServerSettings",
    "Settings",
    "load_settings",
]
