// Schemas of zod, made when they are needed. They fill in the defaults that the schema names: that is the same message.
import * as z from "zod";

import { bySchema, finish, refuses, roundTrips } from "./common.mjs";

function withoutFilledIn(schema, read, body) {
  const kept = Object.entries(read).filter(
    ([name, value]) => name in body || value !== schema.properties[name]?.default,
  );
  return Object.fromEntries(kept);
}

for (const { path, schema, valid, invalid } of bySchema()) {
  const made = z.fromJSONSchema(schema);
  const read = (body) => withoutFilledIn(schema, made.parse(body), body);
  valid.forEach((body) => roundTrips(path, body, read));
  invalid.forEach((body) => refuses(path, body, read));
}
finish();
