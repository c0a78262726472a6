// Searching the transcript.

/** The matches in the order of the text, each with its entry, its time and its mark; and the index of the current one. */
let matches = [], current = -1;

/** Case does not matter, and neither does the kind of white space. */
function pattern(query) {
  const words = query.trim().split(/\s+/).map(word => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return words[0] ? new RegExp(words.join("\\s+"), "giu") : null;
}

/** Shows only the entries that match, with marks. */
function find() {
  const sought = pattern($("search").value);
  matches = [];
  current = -1;
  entries.forEach((entry, index) => {
    const item = $("turns").children[index], parts = [];
    let read = 0, word = 0;
    for (const { 0: text, index: start } of sought ? entry.text.matchAll(sought) : []) {
      const mark = Object.assign(document.createElement("mark"), { textContent: text });
      while (word + 1 < entry.times.length && entry.times[word + 1][0] <= start) word++;
      matches.push({ item, mark, time: entry.times[word][1] });
      parts.push(entry.text.slice(read, start), mark);
      read = start + text.length;
    }
    item.querySelector(".text").replaceChildren(...parts, entry.text.slice(read));
    item.hidden = sought !== null && parts.length === 0;
  });
  tellMatches(sought !== null);
}

function tellMatches(searching) {
  const all = `${matches.length} match${matches.length === 1 ? "" : "es"}`;
  $("found").textContent = !searching ? "" : matches.length === 0 ? "No match" : current < 0 ? all : `${current + 1} of ${all}`;
}

/** Moves to the next match, or with -1 to the previous one, and to its time. */
function nextMatch(direction) {
  if (!matches.length) return;
  matches[current]?.mark.classList.remove("here");
  current = current < 0 && direction < 0 ? matches.length - 1 : (current + direction + matches.length) % matches.length;
  const { item, mark, time } = matches[current];
  mark.classList.add("here");
  seek(time);
  reveal(item);
  tellMatches(true);
}

function searchKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter") nextMatch(event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") {
    event.target.value = "";
    find();
    event.target.blur();
  } else return;
  event.preventDefault();
}
