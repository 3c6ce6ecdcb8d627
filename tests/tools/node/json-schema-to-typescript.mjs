// Types of json-schema-to-typescript: every body is a value of its type, to the strict compiler.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { compile } from "json-schema-to-typescript";

import { bySchema, finish, folder, refuses, roundTrips, say } from "./common.mjs";
import { complaints, STRICT } from "./typescript.mjs";

const OPTIONS = { bannerComment: "", strictIndexSignatures: true, format: false };
const TWICE = ["answers/Address.json", "events/ConnectionConverted.v1.json"];
const values = new Map();
for (const [number, { path, schema, valid, invalid }] of bySchema().entries()) {
  const types = await compile(structuredClone(schema), schema.title, OPTIONS);
  // A choice that stands in two fields of one schema is made twice; no other name bears a number.
  const numbered = [...types.matchAll(/^export \w+ (\w*\d)\b/gm)].map((match) => match[1]);
  const known = TWICE.includes(path) ? ["Kind1"] : [];
  if (!isDeepStrictEqual(numbered, known)) {
    say(path, "has the numbered names", numbered.join(", "));
  }
  writeFileSync(join(folder, `types-${number}.ts`), types);
  const each = (kind, bodies) =>
    bodies.forEach((body, index) => {
      const one = join(folder, `${kind}-${number}-${index}.ts`);
      const typed = `import type { ${schema.title} } from "./types-${number}";`;
      writeFileSync(one, `${typed}\nexport const body: ${schema.title} = ${JSON.stringify(body)};\n`);
      values.set(one, { path, body, kind });
    });
  each("valid", valid);
  each("invalid", invalid);
}

const found = complaints([...values.keys()], STRICT);
for (const [file, { path, body, kind }] of values) {
  const said = found.filter((one) => one.file === file).map((one) => one.words);
  const read = () => {
    if (said.length > 0) {
      throw new Error(said.join("; "));
    }
    return body;
  };
  (kind === "valid" ? roundTrips : refuses)(path, body, read);
}
finish();
