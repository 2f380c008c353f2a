// What can be done with one chart of a board: looked at alone, asked in Explore, and in the editor moved, sized, changed.
import {charts, sizeOf} from "./board-model.js";
import {el, say} from "./dom.js";

const MOVES = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity};
const SIZES = {ArrowLeft: ["width", -1], ArrowRight: ["width", 1], ArrowUp: ["height", -1], ArrowDown: ["height", 1]};

/** Put the tools of a panel into it; edit: {move, resize, remove, copy, open} of places, place(): its own, drag: a Drag. */
export function panelTools(panel, edit) {
  const grip = el("button", {type: "button", className: "grip icon", textContent: "⠿"});
  const corner = el("div", {className: "corner", ariaHidden: "true"});
  const closing = new AbortController();
  panel.closing = closing.signal;
  const close = panel.close.bind(panel);
  panel.close = () => {
    closing.abort();
    close();
  };
  edit.drag.moves(grip, panel);
  edit.drag.resizes(corner, panel);
  grip.addEventListener("keydown", (event) => arrange(event, panel, edit));
  const tool = (text, work) => el("button", {type: "button", className: "quiet", textContent: text, onclick: work});
  const writing = [tool("Edit", () => edit.open(edit.place())), tool("Copy", () => edit.copy(edit.place())), tool("Remove", () => edit.remove(edit.place()))];
  const {explore} = panel;
  const whole = tool("", () => document.fullscreenElement ? document.exitFullscreen() : panel.element.requestFullscreen());
  Object.assign(whole, {className: "quiet whole", title: "Full screen"});
  const reading = [explore, whole];
  panel.head.prepend(grip);
  panel.element.append(corner);
  panel.actions.append(...reading, ...writing);
  return {
    grip,
    /** Name the tools after the chart, and show those of the editor or of who only looks. */
    set(name, isEditing) {
      grip.hidden = corner.hidden = !isEditing;
      for (const one of writing) one.hidden = !isEditing;
      for (const one of reading) one.hidden = isEditing;
      explore.hidden ||= !edit.canExplore();
      grip.ariaLabel = `Arrange ${name}: arrows move it, Shift and arrows change its size, Delete removes it`;
      grip.title = "Drag, or arrows: move. Shift and arrows: size. Delete: remove.";
      for (const one of writing) one.ariaLabel = `${one.textContent} ${name}`;
      explore.ariaLabel = `Explore ${name}`;
      whole.ariaLabel = `Full screen: ${name}`;
    },
  };
}

function arrange(event, panel, edit) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const place = edit.place();
  if (event.key === "Delete") edit.remove(place);
  else if (event.shiftKey && SIZES[event.key]) {
    const [side, by] = SIZES[event.key];
    edit.resize(place, {[side]: sizeOf(panel.chart, side) + by});
    say(`${sizeOf(panel.chart, "width")} of 12 columns wide, ${sizeOf(panel.chart, "height")} rows high.`);
  } else if (!event.shiftKey && MOVES[event.key]) {
    const last = charts(edit.board()).length - 1;
    const to = Math.max(0, Math.min(last, place + MOVES[event.key]));
    if (to !== place) edit.move(place, to);
    say(`Place ${to + 1} of ${last + 1}.`);
  } else return;
  event.preventDefault();
}
