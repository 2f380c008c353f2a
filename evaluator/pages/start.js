// The first view: which types there are.
export async function startView(main) {
  const heading = document.createElement("h1");
  heading.textContent = "Types of events";
  const list = document.createElement("ul");
  main.append(heading, list);
  const answer = await fetch("/1.0/types");
  for (const type of await answer.json()) {
    const item = document.createElement("li");
    item.textContent = type;
    list.append(item);
  }
}
