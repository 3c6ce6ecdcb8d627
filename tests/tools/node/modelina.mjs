// Classes of modelina, made of the whole AsyncAPI document: TypeScript's are tried here, pydantic's in Python.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import modelina from "@asyncapi/modelina";
import ts from "typescript";

import { bodies, bySchema, finish, folder, roundTrips, say } from "./common.mjs";
import { complaints } from "./typescript.mjs";

const { PYTHON_PYDANTIC_PRESET, PythonFileGenerator, TS_COMMON_PRESET, TypeScriptFileGenerator } = modelina;
const document = () => JSON.parse(readFileSync(process.argv[4], "utf8"));

const typescript = new TypeScriptFileGenerator({
  modelType: "class",
  presets: [{ preset: TS_COMMON_PRESET, options: { marshalling: true } }],
});
const sources = join(folder, "ts");
const compiled = join(folder, "js");
mkdirSync(compiled);
writeFileSync(join(compiled, "package.json"), '{"type": "commonjs"}');
const models = await typescript.generateToFiles(document(), sources, { exportType: "named" });
const files = models.map((model) => join(sources, `${model.modelName}.ts`));
const options = { strict: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, types: [] };
complaints(files, { ...options, outDir: compiled }).forEach((one) => say(one.words, "does not compile"));

// Python's classes are of the folder that they are written to.
const python = new PythonFileGenerator({
  presets: [PYTHON_PYDANTIC_PRESET],
  processorOptions: { interpreter: { ignoreAdditionalProperties: true } },
});
await python.generateToFiles(document(), join(folder, "asyncapimodels"), { packageName: "asyncapimodels" });

const names = models.map((model) => model.modelName);
const titles = new Set(bodies.map((one) => one.title));
names.filter((name) => /Anonymous|\d/.test(name)).forEach((name) => say(name, "is a name that moves"));
[...titles].filter((title) => !names.includes(title)).forEach((title) => say(title, "has no class of its name"));

const load = createRequire(import.meta.url);
for (const { path, title, valid } of bySchema()) {
  const made = load(join(compiled, `${title}.js`))[title];
  const read = (body) => JSON.parse(made.unmarshal(JSON.stringify(body)).marshal());
  valid.forEach((body) => roundTrips(path, body, read));
}
finish();
