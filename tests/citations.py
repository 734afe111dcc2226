"""Whether a CITATION.cff is one by the format's own JSON Schema, which comes with cffconvert (see the Makefile)."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, FormatChecker

SCHEMA = Path(sys.prefix) / "validators" / "cffconvert" / "schemas" / "1.2.0" / "schema.json"


def read_citation(text: str) -> dict[str, Any]:
    """What the file says; fails where the schema does not allow it."""
    told = yaml.safe_load(text)
    schema = json.loads(SCHEMA.read_text("utf-8"))
    dates_as_text = json.loads(json.dumps(told, default=str))
    Draft7Validator(schema, format_checker=FormatChecker()).validate(dates_as_text)
    return dict(told)
