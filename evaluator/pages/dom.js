// Elements without markup: whatever comes from events is set as text.

/** An element; props: attributes, or properties where it has them, and on… listeners; children: elements and texts. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A select with a label of its own; options: [value, text]. */
export function choice(label, options, value, change) {
  const select = el("select", {ariaLabel: label, onchange: () => change(select.value)});
  for (const [name, text] of options) select.append(el("option", {value: name, textContent: text}));
  select.value = value;
  return el("label", {className: "choice"}, el("span", {textContent: label}), select);
}

/** Show sentences in a place that is there for them, and hide it where there are none. */
export function tell(place, sentences) {
  const text = sentences.filter(Boolean).join(" ");
  if (place.textContent !== text) place.textContent = text; // else it is read out again
  place.hidden = !text;
}

/** Say something for a moment, to screen readers as well. */
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.textContent = ""; }, 4000);
}
