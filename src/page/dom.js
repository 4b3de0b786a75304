// Elements. What people wrote becomes text, never HTML.

export const find = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A group's, user's or device's name, or else its id. Kazoo's documents may have anything there.
export const called = (of) => (typeof of.name === "string" && of.name.trim() ? of.name : of.id);
