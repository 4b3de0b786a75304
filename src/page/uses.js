// What uses a group: told beside it, and before it is deleted.

import { called, find, make } from "./dom.js";
import { ask, groupPath, Refused } from "./service.js";

const KINDS = { callflows: "Callflow", groups: "Group", users: "User", devices: "Device" };

// A line for each document that names the group; a callflow's says by which numbers it is called.
export function lines(used) {
  const of = (kind) => (used[kind] ?? []).map((named) => {
    const numbers = [...(named.numbers ?? []), ...(named.patterns ?? [])].join(", ");
    return make("li", {}, `${KINDS[kind]} ${called(named)}${numbers ? ` (${numbers})` : ""}`);
  });
  return Object.keys(KINDS).flatMap(of);
}

export async function showUses(id) {
  try {
    const { envelope } = await ask("GET", groupPath(id, "/used_by"));
    const told = lines(envelope.data);
    find("uses").querySelector("ul").replaceChildren(...told);
    find("unused").hidden = told.length > 0;
    find("uses").hidden = false;
  } catch (error) {
    // who sees their own groups alone is not told what uses them
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    find("uses").hidden = true;
  }
}
