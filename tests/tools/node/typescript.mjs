// Types have nothing to run: the compiler reads bodies as values of the type, and must refuse the wrong ones.
import { relative } from "node:path";
import ts from "typescript";

export const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  types: [],
};

// What the compiler says, by file.
export function complaints(files, options) {
  const program = ts.createProgram(files, options);
  const found = ts.getPreEmitDiagnostics(program).map((one) => {
    const place = one.file ? relative(process.cwd(), one.file.fileName) : "";
    return { file: one.file?.fileName, words: `${place} ${ts.flattenDiagnosticMessageText(one.messageText, " ")}` };
  });
  program.emit();
  return found;
}
