// RELAY_URL=http://localhost:8080 RELAY_TOKEN=… node register.mjs TASK_ID CALLBACK_URL

import { setTimeout } from "node:timers/promises";

// The registration. It is safe to ask again: the same one is made once.
export async function register(wish) {
  for (const seconds of [1, 2, 4, 8, null]) {
    const answer = await fetch(`${process.env.RELAY_URL}/v1/registrations`, {
      method: "POST",
      headers: { authorization: `Bearer ${process.env.RELAY_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(wish),
      signal: AbortSignal.timeout(30_000),
    }).catch((error) => error);
    if (answer.ok) return answer.json();
    const passes = answer instanceof Error || answer.status === 429 || answer.status >= 500;
    if (!passes || seconds === null) throw answer instanceof Error ? answer : new Error(await answer.text());
    await setTimeout(1000 * (answer.headers?.get("retry-after") ?? seconds));
  }
}

const [task_id, callback_url] = process.argv.slice(2);
console.log((await register({ task_id, callback_url })).id);
