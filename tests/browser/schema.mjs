// Holds answers of the local API against the schemas of its OpenAPI document, with other people's validator.
// Standard input: {"document": {…}, "answers": [{"name": "…", "schema": {…}, "value": …}]}. Prints what does not fit.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { default: Ajv } = createRequire(process.argv[2] + "/")("ajv/dist/2020.js");
const { document, answers } = JSON.parse(readFileSync(0, "utf8"));
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(document, "api");
const rebased = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/'));
for (const { name, schema, value } of answers) {
  const check = ajv.compile(rebased(schema));
  if (!check(value)) console.log(name + ": " + ajv.errorsText(check.errors));
}
