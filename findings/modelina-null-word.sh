#!/bin/sh
# Guess: a choice that may be null becomes `"personal" | "team" | null` in modelina's TypeScript.
# Result: an enum of three words, the third of which is the text "null", which no body ever has.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @asyncapi/modelina@5.10.1
cat > run.cjs <<'END'
const { TypeScriptGenerator } = require("@asyncapi/modelina");
const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Held",
  type: "object",
  properties: { kind: { title: "Kind", type: ["string", "null"], enum: ["personal", "team", null] } },
};
new TypeScriptGenerator().generate(schema).then((models) => {
  const kind = models.find((model) => model.modelName === "Kind");
  console.log(kind ? kind.result.replace(/\s+/g, " ") : "no enum Kind");
});
END
came=$(node run.cjs)
echo "@asyncapi/modelina 5.10.1, enum [personal, team, null]: $came"
case $came in *"'null'"*) ;; *) exit 1 ;; esac
