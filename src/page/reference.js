// The API reference, from the same document that tools read.

import { find, make } from "./dom.js";

const VERBS = ["get", "put", "post", "patch", "delete"];

function show(api) {
  find("about").append(`Version ${api.info.version}. `, ...prose(api.info.description));
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    VERBS.filter((verb) => item[verb]).map((verb) => ({ path, verb, ...item[verb] })));
  for (const tag of api.tags) {
    const ofTag = operations.filter((operation) => operation.tags[0] === tag.name);
    const links = ofTag.map((of) => make("a", { href: `#${of.operationId}` }, of.summary));
    find("contents").append(make("p", { class: "quiet" }, tag.name), ...links);
    const section = make("section", { "aria-labelledby": `tag-${tag.name}` });
    section.append(make("h2", { id: `tag-${tag.name}` }, tag.name), make("p", { class: "quiet" }, tag.description));
    section.append(...ofTag.map((operation) => article(operation, api)));
    find("operations").append(section);
  }
  // the place that the address names was not there when the page was opened
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function article(operation, api) {
  const title = make("h3", { id: `${operation.operationId}-title` }, operation.summary);
  const line = make("p", {}, make("code", { class: "verb" }, operation.verb.toUpperCase()), make("code", { class: "path" }, operation.path));
  const whole = make("article", { id: operation.operationId, "aria-labelledby": title.id }, title, line);
  if (operation.description) whole.append(make("p", {}, ...prose(operation.description)));
  whole.append(make("p", { class: "quiet" }, operation.security ? "Needs a token." : "Needs no token."));
  if (operation.parameters?.length) whole.append(folded("Parameters", parameters(operation.parameters)));
  const body = operation.requestBody?.content["application/json"];
  if (body) whole.append(folded("Body", schema(body.schema, api)));
  whole.append(folded("Answers", answers(operation.responses, api)));
  const tries = operation["x-requests"].flatMap((request) =>
    [make("h4", {}, `${request.summary} (${request.status})`), block(curl(request))]);
  whole.append(folded("Try it", ...tries));
  return whole;
}

// A text of the document: what stands between backticks is code.
const prose = (text) => text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

const folded = (title, ...content) => make("details", {}, make("summary", {}, title), ...content);

// What is wider or longer than its place can be scrolled, by keyboard too.
const block = (text) => make("pre", { tabindex: "0" }, text);

function parameters(all) {
  const list = make("dl");
  for (const parameter of all) {
    const { type, enum: values, default: usual, pattern } = parameter.schema;
    const said = [parameter.in, [type].flat().join(" or "), values && `one of ${values.join(", ")}`, pattern && `like ${pattern}`,
      usual !== undefined && `as it comes: ${usual}`, parameter.required && "required"];
    list.append(make("dt", {}, make("code", {}, parameter.name)));
    list.append(make("dd", {}, ...prose(parameter.description), " ", make("span", { class: "quiet" }, `(${said.filter(Boolean).join("; ")})`)));
  }
  return list;
}

function answers(responses, api) {
  const list = make("dl");
  for (const [status, response] of Object.entries(responses)) {
    list.append(make("dt", {}, status));
    const about = make("dd", {}, response.description);
    for (const [name, header] of Object.entries(response.headers ?? {})) {
      about.append(make("p", { class: "quiet" }, make("code", {}, name), ` ${header.description ?? ""}`));
    }
    for (const [form, content] of Object.entries(response.content ?? {})) {
      about.append(folded(form, schema(content.schema, api)));
      for (const named of Object.values(content.examples ?? {})) {
        const example = named.$ref ? api.components.examples[named.$ref.split("/").pop()] : named;
        const text = typeof example.value === "string" ? example.value : JSON.stringify(example.value, null, 2);
        about.append(folded(`Example: ${example.summary}`, block(text)));
      }
    }
    list.append(about);
  }
  return list;
}

// A schema with what it refers to put in its place.
function schema(of, api) {
  const whole = (value, depth) => {
    if (Array.isArray(value)) return value.map((item) => whole(item, depth));
    if (value === null || typeof value !== "object") return value;
    const name = typeof value.$ref === "string" ? value.$ref.split("/").pop() : null;
    if (name && depth < 4) return whole(api.components.schemas[name], depth + 1);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, whole(inner, depth)]));
  };
  return block(JSON.stringify(whole(of, 0), null, 2));
}

function curl(request) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const header = ([name, value]) => (value.includes("$TOKEN") ? `-H "${name}: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`);
  const parts = ["curl", request.headers.Accept === "text/event-stream" ? "-N" : "", request.method === "GET" ? "" : `-X ${request.method}`,
    ...Object.entries(request.headers).map(header), quoted(location.origin + request.path),
    request.body === undefined ? "" : `-d ${quoted(JSON.stringify(request.body))}`];
  return parts.filter(Boolean).join(" ");
}

try {
  const response = await fetch("/openapi.json");
  show(await response.json());
} catch (error) {
  find("failed").textContent = `openapi.json can't be read: ${error.message}`;
  find("failed").hidden = false;
}
