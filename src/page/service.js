// The service, and who speaks with it. The token is kept in this tab alone and goes into a header, never into a URL.

import { md5 } from "./md5.js";

const KEPT = "crossbar-groups";

export const session = {
  token: null,
  account: null,

  keep(token, account) {
    this.token = token;
    this.account = account;
    sessionStorage.setItem(KEPT, JSON.stringify({ token, account }));
  },

  forget() {
    this.token = null;
    this.account = null;
    sessionStorage.removeItem(KEPT);
  },

  // What this tab kept, or what a demo offers.
  async begin() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept) {
      this.keep(kept.token, kept.account);
      return;
    }
    const offered = await fetch("/docs/session");
    if (offered.status === 200) {
      const { token, account } = await offered.json();
      this.keep(token, account);
    }
  },
};

// What an answer says is wrong.
export class Refused extends Error {
  constructor(status, envelope, requestId) {
    super(explained(status, envelope, requestId));
    this.status = status;
    this.data = envelope?.data;
  }
}

function explained(status, envelope, requestId) {
  const data = envelope?.data;
  const lines = [];
  if (data && typeof data === "object" && !("message" in data)) {
    for (const [property, rules] of Object.entries(data)) {
      for (const [rule, detail] of Object.entries(Object(rules))) {
        lines.push(`${property}: ${detail?.message ?? rule}`);
      }
    }
  }
  const what = envelope?.message ?? "no answer that can be read";
  const more = typeof data?.message === "string" && data.message !== what ? `: ${data.message}` : "";
  const id = requestId ? ` (request ${requestId})` : "";
  return [`${status} ${what}${more}${id}`, ...lines].join("\n");
}

// Asks; gives the envelope and the ETag. Errors: Refused, or the network's.
export async function ask(method, path, { data, headers = {} } = {}) {
  const sent = { ...headers };
  if (session.token) sent["X-Auth-Token"] = session.token;
  if (data !== undefined) sent["Content-Type"] = "application/json";
  const body = data === undefined ? undefined : JSON.stringify({ data });
  const response = await fetch(path, { method, headers: sent, body, cache: "no-store", redirect: "error" });
  const text = await response.text();
  let envelope;
  try {
    envelope = JSON.parse(text);
  } catch {
    envelope = undefined;
  }
  if (!response.ok) throw new Refused(response.status, envelope, response.headers.get("X-Request-ID"));
  return { envelope, etag: response.headers.get("ETag") };
}

export async function signInUser(user, password, accountName) {
  const credentials = md5(`${user}:${password}`);
  return signedIn(await ask("PUT", "/v2/user_auth", { data: { credentials, account_name: accountName } }));
}

export async function signInProgram(key) {
  return signedIn(await ask("PUT", "/v2/api_auth", { data: { api_key: key } }));
}

function signedIn({ envelope }) {
  session.keep(envelope.auth_token, envelope.data.account_id);
}

// Takes a token that somebody has. Whose it is stands in it; whether it is believed the service will say.
export function useToken(token) {
  session.keep(token, accountOf(token));
}

function accountOf(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return String(JSON.parse(atob(claims)).account_id);
  } catch {
    throw new Error("That is no token: it should be three parts with dots between them.");
  }
}

export const groupsPath = (rest = "") => `/v2/accounts/${encodeURIComponent(session.account)}/groups${rest}`;
export const groupPath = (id, rest = "") => groupsPath(`/${encodeURIComponent(id)}${rest}`);
