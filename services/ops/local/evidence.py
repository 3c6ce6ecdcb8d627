"""The folders of the local audit's evidence: those of the settings, else within the data folder."""

from pathlib import Path

from shared.process.settings import Settings


def evidence_dir(settings: Settings) -> Path:
    return (settings.evidence_dir or settings.data_dir / "evidence").absolute()


def evidence_environment(settings: Settings) -> dict[str, str]:
    """Return the settings with which a local audit makes evidence."""
    keys = settings.evidence_keys_dir or settings.data_dir / "evidence-keys"
    return {
        "SWITCHBOARD_EVIDENCE_DIR": str(evidence_dir(settings)),
        "SWITCHBOARD_EVIDENCE_KEYS_DIR": str(keys.absolute()),
    }
