// Explore: expressions, a span of time, and a chart of them.
export function exploreView(main) {
  main.textContent = "";
}
