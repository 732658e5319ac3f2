// Keyboard: "/" searches, "g o" goes, "j" and "k" walk a table, "?" lists what there is.
import { openDialog } from "./dialogs";
import { tickFocusedRow } from "./ticking";

const SEQUENCE_MILLISECONDS = 1000;

export function startKeyboard(): void {
  let pending = "";
  let pendingUntil = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const pressed = performance.now() < pendingUntil ? `${pending} ${event.key}` : event.key;
    pendingUntil = 0;
    if (event.key === "g" && pressed === "g") {
      pending = "g";
      pendingUntil = performance.now() + SEQUENCE_MILLISECONDS;
    } else if (press(pressed)) {
      event.preventDefault();
    }
  });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select"));
}

function press(keys: string): boolean {
  if (keys === "/") return focusSearch();
  if (keys === "j") return walk(1);
  if (keys === "k") return walk(-1);
  if (keys === "x" && tickFocusedRow()) return true;
  if (keys === "?") return showHelp();
  const link = document.querySelector<HTMLElement>(`[data-shortcut="${CSS.escape(keys)}"]`);
  link?.click();
  return link !== null;
}

function focusSearch(): boolean {
  const box = document.querySelector<HTMLInputElement>("input[data-search]");
  box?.focus();
  box?.select();
  return box !== null;
}

/** Moves the focus to what opens the next or previous row, a link or a summary; Enter then does what it does. */
function walk(step: 1 | -1): boolean {
  const here = document.activeElement?.closest("table[data-rows]");
  const table = here ?? document.querySelector("table[data-rows]");
  if (!table) return false;
  const links = [...table.querySelectorAll("tbody tr")].flatMap((row) => row.querySelector<HTMLElement>("a[href], summary") ?? []);
  const current = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement) ?? false);
  const next = links[current < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(current + step, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return next !== undefined;
}

function showHelp(): boolean {
  const list = document.getElementById("shortcut-places");
  const places = new Map<string, HTMLElement>();
  for (const link of document.querySelectorAll<HTMLElement>("[data-shortcut]")) places.set(link.dataset["shortcut"] ?? "", link);
  list?.replaceChildren(...[...places.values()].map(shortcutLine));
  openDialog("shortcuts");
  return true;
}

function shortcutLine(link: HTMLElement): HTMLElement {
  const line = document.createElement("div");
  const name = document.createElement("dt");
  name.textContent = link.dataset["shortcutName"] ?? link.textContent?.trim() ?? "";
  const keys = document.createElement("dd");
  for (const key of (link.dataset["shortcut"] ?? "").split(" ")) {
    const cap = document.createElement("kbd");
    cap.className = "key";
    cap.textContent = key;
    keys.append(cap, " ");
  }
  line.append(name, keys);
  return line;
}
