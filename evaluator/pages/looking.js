// A view that asks again and again how things are, as long as somebody sees the page.
import {el} from "./dom.js";

/** Its classes have ask(signal), show(answer), fail(error) and wait(): the milliseconds until it asks again. */
export class LookingView {
  closing = new AbortController();

  update() {}

  close() {
    this.closing.abort();
    clearTimeout(this.timer);
  }

  async look() {
    const {signal} = this.closing;
    if (document.hidden) return document.addEventListener("visibilitychange", () => this.look(), {once: true, signal});
    try {
      const answer = await this.ask(signal);
      if (signal.aborted) return;
      this.show(answer);
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error);
      if (error.status === 401 || error.status === 403) return; // asked again, it would only be refused again
    }
    this.timer = setTimeout(() => this.look(), this.wait());
  }

  /** Say in an element what failed; where a key is missing, with a button that asks for one. */
  tell(element, error) {
    element.replaceChildren(error.message ?? String(error));
    if (error.status === 401) element.append(" ", el("button", {type: "button", textContent: "Give a key", onclick: () => this.look()}));
  }
}
