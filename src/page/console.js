// The groups of an account: listed, created, changed, deleted, and what happens to them.

import { hideDeleted, restoreGroup, showDeleted } from "./deleted.js";
import { called, find, make } from "./dom.js";
import { listen } from "./events.js";
import { showRings } from "./rings.js";
import { ask, groupPath, groupsPath, Refused, session, signInProgram, signInUser, useToken } from "./service.js";
import { lines, showUses } from "./uses.js";

const MOST_EVENTS = 100;
const NEW_GROUP = { name: "", endpoints: {} };
const HELP = {
  edit: "Saving sends what you changed (PATCH); a key that you remove is removed. If somebody else changed the group meanwhile, nothing is saved.",
  create: "A name and its endpoints: {\"USER_ID\": {\"type\": \"user\", \"weight\": 1}}.",
};

let rows = new Map();
let next = null;
// The group that is shown: its id (null of one that is yet to be created), its fields and its ETag.
let shown = null;
let listening = null;

function failed(error) {
  find("done").textContent = "";
  find("failed").textContent = error.message;
  find("failed").hidden = false;
  find("failed").scrollIntoView({ block: "nearest" });
}

function done(text) {
  find("failed").hidden = true;
  find("done").textContent = text;
}

// Does something that may fail, once at a time for each button.
async function attempt(button, work) {
  if (button) button.disabled = true;
  try {
    find("failed").hidden = true;
    await work();
  } catch (error) {
    if (error instanceof Refused && error.status === 401 && session.token) signOut();
    failed(error);
  } finally {
    if (button) button.disabled = false;
  }
}

function onSubmit(id, work) {
  find(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(event.submitter, () => work(new FormData(event.target)));
  });
}

const onClick = (id, work) => find(id).addEventListener("click", (event) => attempt(event.currentTarget, work));

function showWho() {
  find("sign-in").hidden = Boolean(session.token);
  find("console").hidden = !session.token;
  find("account").value = session.account ?? "";
}

async function signedIn(text) {
  for (const form of document.querySelectorAll("#sign-in form")) form.reset();
  showWho();
  await showAccount();
  done(text);
  find("account").focus();
}

function signOut() {
  listening?.abort();
  session.forget();
  rows.clear();
  close();
  hideDeleted();
  find("events").replaceChildren();
  showWho();
  find("by-user").elements.user.focus();
}

// The list of an account, and what happens to it.
async function showAccount() {
  rows = new Map();
  next = null;
  close();
  hideDeleted();
  await showPage();
  beginListening();
}

function filter() {
  const flag = find("flag").value.trim();
  return flag ? `filter_flags=${encodeURIComponent(flag)}` : "";
}

async function showPage() {
  const start = next ? `start_key=${encodeURIComponent(next)}` : "";
  const query = [filter(), start].filter(Boolean).join("&");
  const { envelope } = await ask("GET", groupsPath(query ? `?${query}` : ""));
  for (const row of envelope.data) rows.set(row.id, row);
  next = envelope.next_start_key ?? null;
  showRows();
}

function showRows(changed) {
  const chosen = document.activeElement?.closest("#list button")?.dataset.id;
  const sorted = [...rows.values()].sort((one, other) => String(called(one)).localeCompare(String(called(other))));
  const items = sorted.map((row) => {
    const open = make("button", { type: "button", "data-id": row.id }, String(called(row)));
    open.addEventListener("click", () => attempt(null, () => openGroup(row.id)));
    const list = (of) => (Array.isArray(of) ? of.map(String).join(", ") : "");
    const cells = [open, String(row.endpoints), list(row.flags), list(row.features)].map((of) => make("td", {}, of));
    const item = make("tr", {}, ...cells);
    item.classList.toggle("chosen", row.id === shown?.id);
    item.classList.toggle("changed", row.id === changed);
    return item;
  });
  find("list").tBodies[0].replaceChildren(...items);
  find("list").hidden = items.length === 0;
  find("empty").hidden = items.length > 0;
  find("more").hidden = !next;
  if (chosen) find("list").querySelector(`[data-id="${CSS.escape(chosen)}"]`)?.focus();
}

async function openGroup(id) {
  const { envelope, etag } = await ask("GET", groupPath(id));
  const { id: _, ...fields } = envelope.data;
  show({ id, fields, etag });
  find("group-title").focus();
  await Promise.all([showRings(id), showUses(id)]);
}

function show(group) {
  shown = group;
  find("group").hidden = false;
  find("group-title").textContent = group.id ? called({ id: group.id, ...group.fields }) : "New group";
  find("json").value = JSON.stringify(group.fields, null, 2);
  find("json-help").textContent = group.id ? HELP.edit : HELP.create;
  find("save").textContent = group.id ? "Save" : "Create";
  find("delete").hidden = !group.id;
  find("rings").hidden = !group.id;
  find("uses").hidden = !group.id;
  showRows();
}

function close() {
  const id = shown?.id;
  shown = null;
  find("group").hidden = true;
  showRows();
  if (id) find("list").querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus();
}

async function save() {
  let fields;
  try {
    fields = JSON.parse(find("json").value);
  } catch (error) {
    throw new Error(`The fields are not JSON: ${error.message}`);
  }
  if (shown.id === null) {
    const { envelope, etag } = await ask("PUT", groupsPath(), { data: fields });
    await after(envelope, etag, "Created");
    return;
  }
  const changes = difference(shown.fields, fields);
  if (Object.keys(changes).length === 0) {
    done("Nothing is changed.");
    return;
  }
  const headers = shown.etag ? { "If-Match": shown.etag } : {};
  try {
    const { envelope } = await ask("PATCH", groupPath(shown.id), { data: changes, headers });
    await after(envelope, `"${envelope.revision}"`, "Saved");
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 412) throw error;
    throw new Error("Somebody else changed this group meanwhile, and nothing is saved. Open it again to see how it is now.");
  }
}

async function after(envelope, etag, what) {
  const { id, ...fields } = envelope.data;
  show({ id, fields, etag: etag ?? `"${envelope.revision}"` });
  done(`${what}: ${called({ id, ...fields })}, revision ${envelope.revision}`);
  find("group-title").focus();
  await Promise.all([showRings(id), showUses(id)]);
}

// What PATCH makes of one object the other: null removes a key, objects are merged.
function difference(before, now) {
  const isObject = (of) => of !== null && typeof of === "object" && !Array.isArray(of);
  const changes = {};
  for (const key of Object.keys(before)) if (!(key in now)) changes[key] = null;
  for (const [key, value] of Object.entries(now)) {
    if (JSON.stringify(before[key]) === JSON.stringify(value)) continue;
    const isMerged = isObject(before[key]) && isObject(value) && Object.keys(value).length > 0;
    changes[key] = isMerged ? difference(before[key], value) : value;
  }
  return changes;
}

// Deletes the group that is shown; where something uses it, when whoever asks for it was told what.
async function remove() {
  const { id, fields, etag } = shown;
  const name = called({ id, ...fields });
  if (!(await isConfirmed(`Delete the group “${name}”?`))) return;
  const headers = etag ? { "If-Match": etag } : {};
  try {
    await ask("DELETE", groupPath(id, "?unless_used=true"), { headers });
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 409 || !error.data?.callflows) throw error;
    if (!(await isConfirmed(`The group “${name}” is used. Delete it all the same?`, lines(error.data)))) return;
    await ask("DELETE", groupPath(id), { headers });
  }
  rows.delete(id);
  close();
  await showDeletedAgain();
  done(`Deleted: ${name}`);
  find("new").focus();
}

async function isConfirmed(question, uses = []) {
  find("confirm-text").textContent = question;
  find("confirm-uses").replaceChildren(...uses);
  find("confirm-uses").hidden = uses.length === 0;
  const dialog = find("confirm");
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  return dialog.returnValue === "yes";
}

const isDeletedShown = () => !find("deleted-scroll").hidden || !find("none-deleted").hidden;

// What was deleted, anew, if it is shown.
const showDeletedAgain = async () => isDeletedShown() && showDeleted(restore);

const restore = (button, group) => attempt(button, async () => {
  await restoreGroup(group.id);
  await showDeletedAgain();
  done(`Restored: ${called(group)}`);
  find("deleted-title").focus();
});

function beginListening() {
  listening?.abort();
  listening = new AbortController();
  find("events").replaceChildren();
  find("pause").textContent = "Pause";
  find("pause").setAttribute("aria-pressed", "false");
  const query = filter();
  const state = (text) => { find("live").textContent = text; };
  listen(groupsPath(query ? `?${query}` : ""), listening.signal, happened, state);
}

function happened(name, { row, reason }) {
  if (name === "listed") return;
  if (name === "live") {
    tell("live", "from now on it is told as it happens");
    return;
  }
  if (name === "end") {
    tell("end", reason);
    return;
  }
  const before = rows.get(row.id);
  if (name === "deleted") rows.delete(row.id);
  else rows.set(row.id, row);
  tell(name, called({ id: row.id, name: row.name ?? before?.name }));
  showRows(row.id);
}

function tell(name, text) {
  const now = new Date();
  const time = make("time", { datetime: now.toISOString() }, now.toLocaleTimeString());
  find("events").prepend(make("li", {}, time, make("strong", {}, name), make("span", {}, text)));
  while (find("events").children.length > MOST_EVENTS) find("events").lastChild.remove();
}

function pause() {
  if (find("pause").getAttribute("aria-pressed") === "true") {
    beginListening();
    return;
  }
  listening?.abort();
  find("live").textContent = "paused";
  find("pause").textContent = "Go on";
  find("pause").setAttribute("aria-pressed", "true");
}

// The strategies are those that the document names.
async function fillStrategies() {
  const document = await (await fetch("/openapi.json")).json();
  const operations = Object.values(document.paths).map((path) => path.get).filter(Boolean);
  const rings = operations.find((operation) => operation.operationId === "readRings");
  const { schema } = rings.parameters.find((parameter) => parameter.name === "strategy");
  find("strategy").replaceChildren(...schema.enum.map((name) => make("option", { value: name }, name.replaceAll("_", " "))));
}

onSubmit("by-user", async (form) => {
  await signInUser(form.get("user"), form.get("password"), form.get("account"));
  await signedIn("You are signed in.");
});
onSubmit("by-key", async (form) => {
  await signInProgram(form.get("key").trim());
  await signedIn("You are signed in.");
});
onSubmit("by-token", async (form) => {
  useToken(form.get("token").trim());
  await signedIn("The token is used.");
});
onSubmit("account-form", async (form) => {
  session.keep(session.token, form.get("account").trim());
  await showAccount();
  done(`${rows.size} groups${next ? ", and there are more" : ""}`);
});
onSubmit("edit", save);
onClick("sign-out", signOut);
onClick("more", showPage);
onClick("new", () => {
  show({ id: null, fields: NEW_GROUP, etag: null });
  find("json").focus();
});
onClick("close", close);
onClick("delete", remove);
onClick("pause", pause);
onClick("show-deleted", () => showDeleted(restore));
find("strategy").addEventListener("change", () => attempt(null, () => showRings(shown.id)));
addEventListener("resize", () => {
  if (shown?.id) attempt(null, () => showRings(shown.id));
});

await attempt(null, async () => {
  await Promise.all([fillStrategies(), session.begin()]);
  showWho();
  if (session.token) await showAccount();
});
