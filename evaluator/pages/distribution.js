// From an expression to the heat map of what it is about: sum(request).group(floor(log2(ms))) in place of
// median(request(ms)), offered where a heat map is chosen and there is nothing to make rows of.
import {get} from "./api.js";
import {el} from "./dom.js";
import {heatOf, isMeasure} from "./fields.js";
import {letter} from "./query.js";
import {reductionsOf} from "./readings.js";
import {changed, read} from "./state.js";

const MOST_FIELDS = 6;

/** The offer, as an element that update() keeps to what the address says. */
export class DistributionOffer {
  constructor() {
    this.element = el("p", {className: "hints", hidden: true});
  }

  async update() {
    const query = read();
    const question = query.get("chart") === "heat" ? JSON.stringify(query.getAll("e")) : "";
    if (question === this.question) return;
    this.question = question;
    this.element.hidden = true;
    const offers = question ? await offersFor(query.getAll("e")).catch(() => []) : [];
    if (this.question !== question || !offers.length) return;
    const links = offers.map(({place, value, expression}) => {
      const texts = query.getAll("e").map((text, i) => i === place ? expression : text);
      const name = query.getAll("e").length > 1 ? `${letter(place)} · ${value}` : value;
      return el("a", {href: `/${changed({e: texts, off: null, only: null})}`, textContent: name, title: expression});
    });
    this.element.replaceChildren("How values are distributed, in powers of two:", ...links);
    this.element.hidden = false;
  }
}

/** What can be shown in place of the expressions without groups: [{place, value, expression}]. */
async function offersFor(texts) {
  const all = await Promise.all(texts.map(async (text, place) => {
    const reductions = text.trim() ? await reductionsOf(text).catch(() => []) : [];
    if (reductions.some(({expression}) => expression.includes(".group("))) return [];
    const made = await Promise.all(reductions.map(measures));
    return made.flat().map((one) => ({place, ...one}));
  }));
  const found = new Map(all.flat().map((one) => [`${one.place} ${one.expression}`, one]));
  return [...found.values()];
}

/** What a reduction measures; of one that counts events the numbers that these have. */
async function measures({type, value, filters}) {
  const narrowed = filters.map((filter) => `.${filter}`).join("");
  if (value !== null) return [{value, expression: heatOf(type, value, narrowed)}];
  const {fields} = await get("/1.0/fields", {type});
  return fields.filter(isMeasure).slice(0, MOST_FIELDS).map(({field}) => ({value: field, expression: heatOf(type, field, narrowed)}));
}
