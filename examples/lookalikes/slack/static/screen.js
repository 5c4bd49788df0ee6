// What is on one person's screen, as the server says it, and what they do told to the server.
"use strict";

export const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const permalink = /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(location.pathname);
export const state = {
  user: query.get("user") || "", place: permalink ? permalink[1] : query.get("place") || "", screen: null,
  shown: new Map(), seen: new Map(), modal: "", wanted: permalink ? `${permalink[2]}.${permalink[3]}` : "",
};

// Who draws: `people` answers whether the screen is still of the person chosen, `screen` shows it.
const shown = { people: () => true, screen: () => {} };
export function drawnBy(people, screen) {
  Object.assign(shown, { people, screen });
}

export async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(path, options);
  return answer.json();
}

let hushed = 0;
export function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = false;
  clearTimeout(hushed);
  hushed = setTimeout(() => { at("notice").hidden = true; }, 6000);
}

export async function act(name, body) {
  try {
    const told = await ask(`/_/${name}`, { user: state.user, ...body });
    if (told.error) notice(told.error);
    else if (told.taken === false) notice(told.status ? `The app answered with an error (${told.status}).` : "The app did not answer in time. Try again.");
    return told;
  } catch {
    notice("The look-alike does not answer.");
    return { error: "lost" };
  } finally {
    await look();
  }
}

export function names() {
  const known = {};
  for (const person of state.screen?.people || []) known[person.id] = person.real_name;
  for (const channel of state.screen?.channels || []) known[channel.id] = channel.name;
  return known;
}

let looking = null;
export function look() {
  looking = looking || seen().finally(() => { looking = null; });
  return looking;
}

async function seen() {
  const known = state.screen?.user === state.user ? state.screen.revision : "";
  const told = await ask(`/_/screen?${new URLSearchParams({ user: state.user, revision: known })}`);
  if (told.people) {
    state.screen = told;
    if (!shown.people()) return seen();
    shown.screen();
  }
}
