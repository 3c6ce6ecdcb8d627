// Reads the AsyncAPI document with the reference parser and prints what it finds.
//
//     NODE_PATH=<folder>/node_modules node tests/contract/parse.cjs deploy/contract/asyncapi.json
//
// Exit code 0: nothing to say; 1: errors or warnings; 3: the parser is not installed.
const { readFileSync } = require("node:fs");

let Parser;
try {
  ({ Parser } = require("@asyncapi/parser"));
} catch (error) {
  console.error(error.message);
  process.exit(3);
}

const [file] = process.argv.slice(2);
new Parser().parse(readFileSync(file, "utf8")).then(({ document, diagnostics }) => {
  // 0 is an error, 1 a warning; what is less is advice, such as to take a newer version of AsyncAPI.
  const wrong = diagnostics.filter((one) => one.severity <= 1);
  for (const one of wrong) {
    console.log(`${one.code} at ${one.path.join("/")}: ${one.message}`);
  }
  if (document === undefined || wrong.length > 0) {
    process.exit(1);
  }
  const counted = [document.channels(), document.operations(), document.messages()].map((all) => all.all().length);
  console.log(`channels, operations, messages: ${counted.join(", ")}`);
});
