// RELAY_SIGNING_SECRET=whsec_… DATABASE_URL=postgresql://… PORT=3000 NODE_ENV=production node receive_express.mjs

import express from "express";
import pg from "pg";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.RELAY_SIGNING_SECRET);
const db = new pg.Pool({ connectionString: process.env.DATABASE_URL });
db.on("error", console.error); // a restart of the database would end this process
const app = express();

// The body as it came: JSON that was parsed and written again has another signature. The limit is 100 kB if none is set.
app.post("/hooks/camb", express.raw({ type: "*/*", limit: "1mb" }), async (request, response) => {
  try {
    webhook.verify(request.body, request.headers, { jsonParse: false });
  } catch {
    return response.sendStatus(401);
  }
  const kept = "INSERT INTO inbox (id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
  await db.query(kept, [request.headers["webhook-id"], request.body]);
  response.sendStatus(204); // only now: what was answered is not sent again
});

app.listen(process.env.PORT, process.env.HOST);
