// What happens to a list, as it happens. EventSource can send no header, so the stream is read from a fetch.

import { session } from "./service.js";

const LONGEST_PAUSE = 30_000;

// Listens until `signal` aborts, and again when it was cut off. Tells `told(event, data)` and `state(text)`.
export async function listen(path, signal, told, state) {
  let last = null;
  let pause = 1_000;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", "X-Auth-Token": session.token };
      if (last) headers["Last-Event-ID"] = last;
      const response = await fetch(path, { headers, signal, cache: "no-store" });
      if (!response.ok) throw new Error(`${response.status}`);
      state("connected");
      pause = 1_000;
      for await (const event of eventsOf(response.body)) {
        if (event.id) last = event.id;
        if (event.name) told(event.name, event.data ? JSON.parse(event.data) : {});
        if (event.name === "end" && JSON.parse(event.data).reason === "unauthorized") {
          state("signed out");
          return;
        }
      }
      state("cut off, trying again");
    } catch (error) {
      if (signal.aborted) return;
      state(`not connected (${error.message}), trying again`);
    }
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

// The events of a stream, as the HTML standard reads them; `retry` is not followed.
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { data: "" };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield event;
        event = { data: "" };
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event.name = text;
      if (field === "id") event.id = text;
      if (field === "data") event.data += (event.data && "\n") + text;
    }
  }
}
