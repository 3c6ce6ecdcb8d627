#!/bin/sh
# Guess: of a union of two classes pydantic tries each, and a body of the second one is read as that.
# Result: the first class's validator takes the fields that it does not know out of the body itself, and the second
# class misses them. With `ignoreAdditionalProperties` there is no such validator.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @asyncapi/modelina@5.10.1
python3 -m venv venv
venv/bin/python -m pip install -qq --disable-pip-version-check pydantic==2.14.3
cat > generate.cjs <<'END'
const { PythonGenerator, PYTHON_PYDANTIC_PRESET } = require("@asyncapi/modelina");
const object = (title, field) => ({
  title,
  type: "object",
  properties: { [field]: { type: "string" } },
  required: [field],
});
const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Answer",
  type: "object",
  properties: { result: { anyOf: [object("Cat", "meows"), object("Dog", "barks")] } },
  required: ["result"],
};
new PythonGenerator({ presets: [PYTHON_PYDANTIC_PRESET] }).generate(schema).then((models) => {
  console.log("from __future__ import annotations\nfrom typing import Any, Dict, List, Optional, Union");
  console.log("from pydantic import BaseModel, Field, model_serializer, model_validator");
  models.forEach((model) => console.log(model.result));
});
END
node generate.cjs > answer.py
cat > read.py <<'END'
from answer import Answer

try:
    print(Answer.model_validate_json('{"result": {"barks": "loudly"}}'))
except ValueError as error:
    print(", ".join(f"{'.'.join(map(str, one['loc']))} {one['type']}" for one in error.errors()))
END
came=$(venv/bin/python read.py)
echo "@asyncapi/modelina 5.10.1, {\"barks\": …} read as Cat or Dog: $came"
case $came in *'Dog.barks missing'*) ;; *) exit 1 ;; esac
