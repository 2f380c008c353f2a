// The charts of a board side by side: twelve columns, one after the other; arranged with a pointer or with the keyboard.
import {charts, nameOf, sizeOf} from "./board-model.js";
import {Panel} from "./board-panel.js";
import {panelTools} from "./board-tools.js";
import {Drag} from "./board-drag.js";
import {el} from "./dom.js";

export class Grid {
  /** board: what panels need, and edit({move, resize, remove, copy, open}) of places. */
  constructor(board) {
    this.board = board;
    this.element = el("div", {className: "grid"});
    this.panels = [];
    this.drag = new Drag(this.element, {
      panels: () => this.panels, moved: (from, to) => board.edit.move(from, to), resized: (place, size) => board.edit.resize(place, size),
    });
  }

  /** Show the charts of a board; panels whose chart stays are kept, wherever it goes. */
  show(board, isEditing) {
    const left = [...this.panels];
    const take = (test) => {
      const found = left.findIndex(test);
      return found < 0 ? null : left.splice(found, 1)[0];
    };
    const listed = charts(board);
    const same = listed.map((chart) => take((panel) => panel.chart === chart));
    this.panels = listed.map((chart, place) => same[place]
      ?? take((panel) => String(panel.chart.expressions) === String(chart.expressions)) ?? this.made());
    for (const panel of left) {
      panel.close();
      panel.element.remove();
    }
    this.panels.forEach((panel, place) => {
      if (this.element.children[place] !== panel.element) this.element.insertBefore(panel.element, this.element.children[place] ?? null);
      panel.element.style.gridColumn = `span ${sizeOf(listed[place], "width")}`;
      panel.element.style.gridRow = `span ${sizeOf(listed[place], "height")}`;
      panel.tools.set(nameOf(listed[place]), isEditing);
      panel.show(listed[place]);
    });
    this.element.classList.toggle("editing", isEditing);
  }

  made() {
    const panel = new Panel(this.board);
    panel.tools = panelTools(panel, {...this.board.edit, place: () => this.panels.indexOf(panel), drag: this.drag});
    return panel;
  }

  refresh() {
    for (const panel of this.panels) panel.refresh();
  }

  /** Show one panel's crosshair in all the others. */
  point(from, time) {
    for (const panel of this.panels) if (panel !== from) panel.point(time);
  }

  /** Put the focus on the grip of a place. */
  focus(place) {
    this.panels[Math.max(0, Math.min(place, this.panels.length - 1))]?.tools.grip.focus();
  }

  close() {
    for (const panel of this.panels) panel.close();
  }
}
