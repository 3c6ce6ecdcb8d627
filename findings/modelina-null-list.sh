#!/bin/sh
# Guess: a list that may be null (`type: [array, null]`) is written by modelina's `marshal()` as null when it is null.
# Result: `marshal()` walks through it without a look, and throws; `tsc --strict` refuses the class, too.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @asyncapi/modelina@5.10.1 typescript@5.9.3
cat > run.cjs <<'END'
const { TypeScriptGenerator, TS_COMMON_PRESET } = require("@asyncapi/modelina");
const ts = require("typescript");
const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Team",
  type: "object",
  properties: { members: { type: ["array", "null"], items: { type: "string" } } },
  additionalProperties: false,
};
const presets = [{ preset: TS_COMMON_PRESET, options: { marshalling: true } }];
new TypeScriptGenerator({ modelType: "class", presets }).generate(schema).then(([model]) => {
  const Team = new Function(`${ts.transpile(model.result, { target: "ES2022" })}; return Team;`)();
  try {
    console.log(Team.unmarshal('{"members": null}').marshal());
  } catch (error) {
    console.log(error.message);
  }
});
END
came=$(node run.cjs)
echo "@asyncapi/modelina 5.10.1, {\"members\": null} of type [array, null]: $came"
case $came in *'not iterable'*) ;; *) exit 1 ;; esac
