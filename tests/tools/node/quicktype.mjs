// TypeScript of quicktype, with the checks that it makes while reading; it takes unknown fields everywhere.
import { FetchingJSONSchemaStore, InputData, JSONSchemaInput, quicktype } from "quicktype-core";
import ts from "typescript";

import { bySchema, finish, refuses, roundTrips, say } from "./common.mjs";

async function converter(schema) {
  const source = new JSONSchemaInput(new FetchingJSONSchemaStore());
  await source.addSource({ name: schema.title, schema: JSON.stringify(schema) });
  const inputData = new InputData();
  inputData.addInput(source);
  const { lines } = await quicktype({ inputData, lang: "typescript" });
  const numbered = lines.filter((line) => /^export \w+ \w*\d\b/.test(line));
  numbered.forEach((line) => say(schema.title, "has a numbered name:", line));
  const options = { compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 } };
  const made = { exports: {} };
  new Function("module", "exports", ts.transpileModule(lines.join("\n"), options).outputText)(made, made.exports);
  return made.exports.Convert;
}

for (const { path, schema, valid, invalid } of bySchema()) {
  const convert = await converter(schema);
  const to = `to${schema.title}`;
  const from = `${schema.title[0].toLowerCase()}${schema.title.slice(1)}ToJson`;
  const read = (body) => JSON.parse(convert[from](convert[to](JSON.stringify(body))));
  valid.forEach((body) => roundTrips(path, body, read));
  invalid.filter((body) => !("mood" in body)).forEach((body) => refuses(path, body, read));
}
finish();
