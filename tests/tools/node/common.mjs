// What the programs here share: the bodies in, what is wrong out.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

export const bodies = JSON.parse(readFileSync(process.argv[2], "utf8"));
export const folder = process.argv[3];

let tried = 0;
const wrong = [];

export const say = (path, ...words) => wrong.push(`${path}: ${words.join(" ")}`);

// `read` gives back the body as it is written again, or throws.
export function roundTrips(path, body, read) {
  tried += 1;
  try {
    const written = read(body);
    if (!isDeepStrictEqual(written, body)) {
      say(path, JSON.stringify(body), "became", JSON.stringify(written));
    }
  } catch (error) {
    say(path, JSON.stringify(body), "was refused:", error.message);
  }
}

export function refuses(path, body, read) {
  tried += 1;
  try {
    read(body);
  } catch {
    return;
  }
  say(path, JSON.stringify(body), "was taken");
}

// Each schema once, with the bodies that are of it.
export function bySchema() {
  const found = new Map();
  for (const one of bodies) {
    const before = found.get(one.path) ?? { ...one, valid: [], invalid: [] };
    before.valid.push(...one.valid);
    before.invalid.push(...one.invalid);
    found.set(one.path, before);
  }
  return [...found.values()];
}

export const finish = () => console.log(JSON.stringify({ tried, wrong }));
