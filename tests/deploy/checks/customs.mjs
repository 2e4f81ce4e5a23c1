// Reads [[module, kind, object], …] and writes, for each, what its definition says against it.
import { readFileSync } from "node:fs";

const told = [];
for (const [module, kind, object] of JSON.parse(readFileSync(0, "utf8"))) {
  const Model = (await import(module))[kind];
  try {
    new Model(object).validate();
    told.push("");
  } catch (error) {
    told.push(error.message);
  }
}
process.stdout.write(JSON.stringify(told));
