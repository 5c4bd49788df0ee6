// One person's Slack: where they are, whom they play, what they type; looks again and again what is on their screen.
"use strict";

import { element } from "/mrkdwn.js";
import { kept, showHome, showMessages } from "/messages.js";
import { showModal } from "/modal.js";
import { act, at, drawnBy, look, notice, state } from "/screen.js";

const EVERY = 700; // milliseconds between two looks

function go(place) {
  state.place = place;
  remember();
  if (place === "home") act("open_home", {});
  show();
  at("messages").scrollTop = at("messages").scrollHeight;
}

function remember() {
  history.replaceState(null, "", `/?${new URLSearchParams({ user: state.user, place: state.place })}`);
}

function showPlaces() {
  const item = (id, label, fresh) => element("li", {}, element("button",
    { type: "button", "aria-current": state.place === id ? "page" : undefined, onclick: () => go(id) },
    label, fresh ? element("span", { class: "dot", title: "something new" }, element("span", { class: "hidden" }, "something new")) : null));
  const items = state.screen.channels.map((channel) => {
    const last = channel.messages.at(-1)?.ts || "";
    if (state.place === channel.id || !state.seen.has(channel.id)) state.seen.set(channel.id, last);
    return item(channel.id, channel.is_im ? `✉ ${channel.name}` : `# ${channel.name}`, last > state.seen.get(channel.id));
  });
  const value = [state.place, state.screen.channels.map((channel) => [channel.id, state.seen.get(channel.id), channel.messages.at(-1)?.ts])];
  const list = kept("places", value, () => element("ul", { id: "places" }, ...items, item("home", "⌂ Countersign")));
  if (at("places") !== list) at("places").replaceWith(list);
}

function showPeople() {
  const people = state.screen.people.filter((person) => !person.is_bot);
  const picker = at("person");
  if (picker.children.length !== people.length) {
    picker.replaceChildren(...people.map((person) => element("option", { value: person.id }, person.real_name)));
  }
  const known = people.some((person) => person.id === state.user);
  if (!known) { state.user = people[0].id; state.screen = null; }
  picker.value = state.user;
  return known;
}

function show() {
  const screen = state.screen;
  if (!screen?.channels) return;
  at("team").textContent = `${screen.team} · Slack look-alike`;
  if (state.place !== "home" && !screen.channels.some((channel) => channel.id === state.place)) state.place = screen.channels[0].id;
  const channel = screen.channels.find((one) => one.id === state.place);
  at("place").textContent = channel ? (channel.is_im ? channel.name : `# ${channel.name}`) : "Countersign";
  at("composer").hidden = !channel;
  showPlaces();
  if (channel) showMessages(channel);
  else showHome();
  showModal();
}

drawnBy(showPeople, show);

at("person").addEventListener("change", async (event) => {
  state.user = event.target.value;
  state.shown.clear();
  state.seen.clear();
  at("messages").replaceChildren();
  remember();
  await look();
  if (state.place === "home") act("open_home", {});
});

at("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const line = at("line").value.trim();
  if (!line) return;
  at("line").value = "";
  if (line.startsWith("/")) await act("command", { channel: state.place, line });
  else await act("say", { channel: state.place, text: line });
  at("messages").scrollTop = at("messages").scrollHeight;
});

for (;;) {
  try {
    await look();
  } catch {
    notice("The look-alike does not answer.");
  }
  await new Promise((next) => setTimeout(next, document.hidden ? 3 * EVERY : EVERY));
}
