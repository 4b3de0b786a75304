// The groups that were deleted, and a button for each that restores it.

import { called, find, make } from "./dom.js";
import { ask, groupPath } from "./service.js";

// Shows them; `restore` is given the button that was pressed and the group.
export async function showDeleted(restore) {
  const { envelope } = await ask("GET", groupPath("_deleted"));
  const rows = envelope.data.map((group) => {
    const button = make("button", { type: "button", "aria-label": `Restore ${called(group)}` }, "Restore");
    button.addEventListener("click", () => restore(button, group));
    const cells = [called(group), button, when(group.deleted), who(group.by)];
    return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
  });
  const table = find("deleted-table");
  table.tBodies[0].replaceChildren(...rows);
  find("deleted-scroll").hidden = rows.length === 0;
  find("none-deleted").hidden = rows.length > 0;
}

export function hideDeleted() {
  find("deleted-table").tBodies[0].replaceChildren();
  find("deleted-scroll").hidden = true;
  find("none-deleted").hidden = true;
}

export const restoreGroup = (id) => ask("POST", groupPath(id, "/restore"));

const when = (time) => (time ? make("time", { datetime: time }, new Date(time).toLocaleString()) : "");

function who({ account, user, name }) {
  if (!account) return "not told";
  return name ?? user ?? "an API key";
}
