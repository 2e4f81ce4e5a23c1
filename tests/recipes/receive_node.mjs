// RELAY_PUBLIC_KEY=whpk_… DATABASE_URL=postgresql://… PORT=3000 node receive_node.mjs (holds no secret)

import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import pg from "pg";

const LIMIT = 1 << 20;
const x = Buffer.from(process.env.RELAY_PUBLIC_KEY.replace("whpk_", ""), "base64").toString("base64url");
const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
const db = new pg.Pool({ connectionString: process.env.DATABASE_URL });
db.on("error", console.error); // a restart of the database would end this process

function verified(headers, body) { // body: the Buffer as it came
  const { "webhook-id": id, "webhook-timestamp": sentAt, "webhook-signature": signatures = "" } = headers;
  if (!(id && Math.abs(Date.now() / 1000 - sentAt) <= 300)) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${sentAt}.`), body]);
  return signatures.split(" ").map((entry) => entry.split(",")).some(
    ([version, signature]) => version === "v1a" && verify(null, signed, key, Buffer.from(signature ?? "", "base64")));
}

async function status(request) {
  if (request.method !== "POST" || request.url !== "/hooks/camb") return 404;
  let body = Buffer.alloc(0);
  for await (const chunk of request) {
    body = Buffer.concat([body, chunk]);
    if (body.length > LIMIT) return 413;
  }
  if (!verified(request.headers, body)) return 401;
  const kept = "INSERT INTO inbox (id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
  await db.query(kept, [request.headers["webhook-id"], body]);
  return 204; // only now: what was answered is not sent again
}

createServer(async (request, response) => {
  response.writeHead(await status(request).catch((error) => (console.error(error), 500))).end();
}).listen(process.env.PORT, process.env.HOST);
