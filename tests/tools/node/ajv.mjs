// Ajv in its strict mode, JSON Schema 2020-12, formats checked.
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

import { bySchema, finish, refuses, roundTrips } from "./common.mjs";

const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormats.default(ajv);

for (const { path, schema, valid, invalid } of bySchema()) {
  const validate = ajv.compile(schema);
  const read = (body) => {
    if (!validate(body)) {
      throw new Error(ajv.errorsText(validate.errors));
    }
    return body;
  };
  valid.forEach((body) => roundTrips(path, body, read));
  invalid.forEach((body) => refuses(path, body, read));
}
finish();
