"""`make sbom` describes the packages of the image, as valid CycloneDX."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from shared import __version__

ROOT: Final = Path(__file__).parents[2]


def test_the_bill_of_materials_names_every_locked_package_with_its_hashes() -> None:
    # It validates what it writes, and fails when that is invalid.
    subprocess.run(("make", "sbom"), cwd=ROOT, check=True)
    bill = json.loads((ROOT / "build/sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    described = bill["metadata"]["component"]
    assert (described["name"], described["version"]) == ("switchboard", __version__)
    locked = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)", lock(), re.MULTILINE)
    assert {one["purl"] for one in bill["components"]} == {f"pkg:pypi/{name}@{version}" for name, version in locked}
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])


def lock() -> str:
    return (ROOT / "deploy/requirements.txt").read_text()
