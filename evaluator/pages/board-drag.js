// Arranging with a pointer: a panel is drawn by its grip to another place, or by its corner to another size.
import {COLUMNS, sizeOf} from "./board-model.js";
import {el} from "./dom.js";

const EDGE = 60; // pixels from the window's edge where it scrolls
const LEAST = 4; // pixels that are no click any more

export class Drag {
  /** on: {panels(), moved(from, to), resized(place, {width, height})}. */
  constructor(grid, on) {
    Object.assign(this, {grid, on});
    this.marker = el("div", {className: "drop", hidden: true});
  }

  /** Let a grip move its panel. */
  moves(grip, panel) {
    const begin = (event) => ({x: event.clientX, y: event.clientY + scrollY, to: null, isFar: false});
    this.follow(grip, panel, {
      begin,
      move: (event, held) => {
        const [dx, dy] = [event.clientX - held.x, event.clientY + scrollY - held.y];
        held.isFar ||= Math.hypot(dx, dy) > LEAST;
        if (!held.isFar) return;
        panel.element.classList.add("dragged");
        panel.element.style.transform = `translate(${dx}px, ${dy}px)`;
        held.to = this.mark(panel, event);
        scrollAt(event.clientY);
      },
      end: ({to}) => {
        const from = this.on.panels().indexOf(panel);
        if (to !== null && to !== from) this.on.moved(from, to);
      },
    });
  }

  /** Let a corner change the size of its panel. */
  resizes(corner, panel) {
    this.follow(corner, panel, {
      begin: (event) => ({x: event.clientX, y: event.clientY, cell: cell(this.grid), width: sizeOf(panel.chart, "width"), height: sizeOf(panel.chart, "height")}),
      move: (event, held) => {
        held.size = {
          width: limit(held.width + Math.round((event.clientX - held.x) / held.cell.width)),
          height: limit(held.height + Math.round((event.clientY - held.y) / held.cell.height)),
        };
        panel.element.style.gridColumn = `span ${held.size.width}`;
        panel.element.style.gridRow = `span ${held.size.height}`;
      },
      end: ({size, width, height}) => {
        if (size && (size.width !== width || size.height !== height)) this.on.resized(this.on.panels().indexOf(panel), size);
      },
      cancel: ({width, height}) => {
        panel.element.style.gridColumn = `span ${width}`;
        panel.element.style.gridRow = `span ${height}`;
      },
    });
  }

  /** Follow a pointer from its press on a handle until it is let go; Escape takes all back. */
  follow(handle, panel, {begin, move, end, cancel = () => {}}) {
    let held = null;
    const stop = (work) => {
      if (!held) return;
      const last = held;
      held = null;
      this.marker.hidden = true;
      panel.element.classList.remove("dragged");
      panel.element.style.transform = "";
      work(last);
    };
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      handle.setPointerCapture(event.pointerId);
      held = begin(event);
    });
    handle.addEventListener("pointermove", (event) => held && move(event, held));
    handle.addEventListener("pointerup", () => stop(end));
    handle.addEventListener("pointercancel", () => stop(cancel));
    document.addEventListener("keydown", (event) => {
      if (!held || event.key !== "Escape") return;
      event.preventDefault();
      stop(cancel);
    }, {signal: panel.closing});
  }

  /** Mark where a panel would come to stand, and return that place among the others. */
  mark(panel, {clientX: x, clientY: y}) {
    const others = this.on.panels().filter((one) => one !== panel);
    if (!others.length) return null;
    const boxes = others.map(({element}) => element.getBoundingClientRect());
    const far = boxes.map((box) => Math.hypot(beyond(x, box.left, box.right), beyond(y, box.top, box.bottom)));
    const nearest = far.indexOf(Math.min(...far));
    const [box, grid] = [boxes[nearest], this.grid.getBoundingClientRect()];
    const isWhole = box.width > grid.width - 2;
    const isAfter = isWhole ? y > (box.top + box.bottom) / 2 : x > (box.left + box.right) / 2;
    if (!this.marker.isConnected) this.grid.append(this.marker);
    const {style} = this.marker;
    const place = isWhole ? {left: box.left, top: (isAfter ? box.bottom + 6 : box.top - 10), width: box.width, height: 4}
      : {left: (isAfter ? box.right + 6 : box.left - 10), top: box.top, width: 4, height: box.height};
    style.transform = `translate(${place.left - grid.left}px, ${place.top - grid.top}px)`;
    [style.width, style.height] = [`${place.width}px`, `${place.height}px`];
    this.marker.hidden = false;
    return nearest + (isAfter ? 1 : 0);
  }
}

/** How wide a column and how high a row of a grid is, with the gap after it, in CSS pixels. */
function cell(grid) {
  const style = getComputedStyle(grid);
  const [across, down] = [parseFloat(style.columnGap), parseFloat(style.rowGap)];
  const isNarrow = style.gridTemplateColumns.split(" ").length < COLUMNS;
  return {width: isNarrow ? Infinity : (grid.clientWidth + across) / COLUMNS, height: parseFloat(style.gridAutoRows) + down};
}

function limit(size) {
  return Math.max(2, Math.min(12, size));
}

function beyond(at, low, high) {
  return Math.max(low - at, 0, at - high);
}

function scrollAt(y) {
  if (y < EDGE) scrollBy(0, -16);
  else if (y > innerHeight - EDGE) scrollBy(0, 16);
}
