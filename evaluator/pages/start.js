// Start: a card for each type that is stored; while there is none, how to begin.
import {get, now} from "./api.js";
import {typeCard} from "./card.js";
import {el, say} from "./dom.js";
import {guide} from "./guide.js";
import {LookingView} from "./looking.js";

const WAIT_FOR_FIRST = 1_500;
const WAIT = 10_000;

export function startView(main) {
  const view = new Start(main);
  view.look();
  return view;
}

class Start extends LookingView {
  constructor(main) {
    super();
    this.main = main;
    this.cards = new Map();
    this.list = null;
  }

  ask(signal) {
    return get("/1.0/types", {details: true}, {signal});
  }

  show(types) {
    if (types.length) this.showCards(types);
    else this.showGuide();
  }

  wait() {
    return this.cards.size ? WAIT : WAIT_FOR_FIRST;
  }

  showGuide() {
    if (this.isGuiding) return;
    this.isGuiding = true;
    this.main.replaceChildren(guide());
  }

  showCards(types) {
    if (!this.list) {
      this.list = el("div", {className: "cards"});
      this.summary = el("p", {className: "quiet"});
      this.main.replaceChildren(el("h1", {textContent: "What is stored"}), this.summary, this.list);
      if (this.isGuiding) say("The first events are here.");
    }
    const events = types.reduce((sum, type) => sum + (type.events ?? 0), 0);
    const kinds = types.length === 1 ? "one type" : `${types.length} types`;
    this.summary.textContent = `${events.toLocaleString("en")} events of ${kinds} in the last hour.`;
    this.problem?.remove();
    types.sort((a, b) => (b.events ?? 0) - (a.events ?? 0)); // only new cards are placed: none moves while it is looked at
    for (const details of types) this.card(details.type).set(details, now());
    const gone = new Set(this.cards.keys());
    for (const {type} of types) gone.delete(type);
    for (const type of gone) {
      this.cards.get(type).element.remove();
      this.cards.delete(type);
    }
  }

  card(type) {
    let card = this.cards.get(type);
    if (!card) {
      card = typeCard(type, this.closing.signal);
      this.cards.set(type, card);
      this.list.append(card.element);
    }
    return card;
  }

  fail(error) {
    this.problem ??= el("p", {className: "problem", role: "alert"});
    this.tell(this.problem, error);
    if (!this.problem.isConnected) this.main.prepend(this.problem);
  }
}
