// Judges the messages on stdin with verifiers that are not ours, loaded from the folder that argv names.

import { createPublicKey, verify } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const load = createRequire(`${process.argv[2]}/`);
const TOLERANCE_SECONDS = 300;

const bySecret = (Webhook) => (message, body) =>
  new Webhook(message.secret).verify(body.toString("utf8"), message.headers);

const byPublicKey = (message, body) => {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": header } = message.headers;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) throw new Error("too old or too new");
  const key = createPublicKey({ key: message.jwk, format: "jwk" });
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const signatures = header.split(" ").map((entry) => entry.split(","));
  const signed = ([version, signature]) =>
    version === "v1a" && verify(null, content, key, Buffer.from(signature, "base64"));
  if (!signatures.some(signed)) throw new Error("no signature of that key");
};

const VERIFIERS = {
  "npm standardwebhooks": bySecret(load("standardwebhooks").Webhook),
  "npm svix": bySecret(load("svix").Webhook),
  "Node's crypto": byPublicKey,
};

const accepts = (verifier, message) => {
  try {
    verifier(message, Buffer.from(message.body, "base64"));
    return true;
  } catch {
    return false;
  }
};

const messages = JSON.parse(readFileSync(0, "utf8"));
const judged = Object.entries(VERIFIERS).map(([name, verifier]) => [
  name,
  messages.map((message) => accepts(verifier, message)),
]);
process.stdout.write(JSON.stringify(Object.fromEntries(judged)));
