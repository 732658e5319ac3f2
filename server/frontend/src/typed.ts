// What somebody typed outlives a refusal: the form is filled again, and the message stands at its field.
import { openDialog } from "./dialogs";

const PLACE = "typed";
type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
type Typed = { page: string; action: string; place: number; fields: [string, string, boolean][]; refusal: string };

export function startKeeping(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const pressed = event.submitter;
    if (!(form instanceof HTMLFormElement) || form.method !== "post" || form.matches("[hx-post]")) return;
    if (pressed?.matches("[hx-post], [formaction]")) return;
    const fields = controlsOf(form).map((field): [string, string, boolean] => [field.name, field.value, isOn(field)]);
    if (!fields.length) return sessionStorage.removeItem(PLACE);
    const page = location.pathname + location.search;
    const typed: Typed = { page, action: pathOf(form), place: alike(pathOf(form)).indexOf(form), fields, refusal: "" };
    sessionStorage.setItem(PLACE, JSON.stringify(typed));
  });
  const kept = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (kept) giveBack(JSON.parse(kept) as Typed);
}

function giveBack(typed: Typed): void {
  const said = document.querySelector(".flash.tone-critical .flash-text, [data-refusal]");
  const text = typed.refusal || said?.textContent?.trim() || "";
  const form = alike(typed.action)[typed.place];
  if (!text) return;
  if (form) return show(form, typed, text);
  if (typed.refusal || typed.page === location.pathname + location.search) return;
  sessionStorage.setItem(PLACE, JSON.stringify({ ...typed, refusal: text }));
  location.replace(typed.page);
}

function show(form: HTMLFormElement, typed: Typed, text: string): void {
  const dialog = form.closest("dialog");
  if (dialog) openDialog(dialog.id);
  const fillAndTell = (): void => {
    fill(form, typed);
    tell(form, text);
  };
  fill(form, typed);
  const asks = form.querySelector<HTMLSelectElement>("select[hx-get]");
  if (asks) {
    document.addEventListener("htmx:afterSettle", fillAndTell, { once: true });
    window.addEventListener("load", () => asks.dispatchEvent(new Event("change", { bubbles: true })), { once: true });
  } else tell(form, text);
}

function fill(form: HTMLFormElement, typed: Typed): void {
  const left = [...typed.fields];
  for (const field of controlsOf(form)) {
    const at = left.findIndex(([name, value]) => name === field.name && (!isBox(field) || value === field.value));
    const [found] = at < 0 ? [] : left.splice(at, 1);
    if (!found) continue;
    if (isBox(field)) field.checked = found[2];
    else field.value = found[1];
  }
}

// A refusal that begins with the name of a field is about that field; people know it by its label.
function tell(form: HTMLFormElement, text: string): void {
  const [word = ""] = text.split(/[\s:]/, 1);
  const field = controlsOf(form).find(({ name }) => plain(name) === plain(word));
  const flash = document.querySelector(".flash.tone-critical") ?? bare(text);
  if (!field) {
    form.prepend(flash);
    flash.scrollIntoView({ block: "center" });
    return;
  }
  const holder = field.closest("fieldset, .field, .toggle > div") ?? field;
  if (holder.querySelector(".field-error")) return field.focus();
  const label = holder.querySelector("legend") ?? form.querySelector(`label[for="${field.id}"]`);
  const told = document.createElement("p");
  told.className = "field-error";
  told.id = `field-${field.name}-refused`;
  const words = label?.firstChild?.textContent?.trim() || word;
  const sign = flash.querySelector("svg");
  told.append(...(sign ? [sign] : []), words + named(form, text.slice(word.length)));
  if (holder === field) field.after(told);
  else holder.append(told);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", `${told.id} ${field.getAttribute("aria-describedby") ?? ""}`.trim());
  for (let fold = field.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
  flash.remove();
  field.focus();
}

// endsAt is the API's word for what people see as To.
function named(form: HTMLFormElement, text: string): string {
  return text.replace(/\b[a-z]+[A-Z]\w*/g, (word) => {
    const field = controlsOf(form).find(({ name }) => plain(name) === plain(word));
    return (field && form.querySelector(`label[for="${field.id}"]`)?.firstChild?.textContent?.trim()) || word;
  });
}

function bare(text: string): Element {
  const flash = document.createElement("div");
  flash.className = "flash tone-critical";
  flash.setAttribute("role", "alert");
  flash.textContent = text;
  return flash;
}

function controlsOf(form: HTMLFormElement): Control[] {
  return [...form.querySelectorAll<Control>("input, select, textarea")].filter(
    (field) => field.name && !["hidden", "password", "file", "submit"].includes(field.type),
  );
}

function alike(action: string): HTMLFormElement[] {
  return [...document.forms].filter((form) => form.method === "post" && pathOf(form) === action);
}

const pathOf = (form: HTMLFormElement): string =>
  new URL(form.getAttribute("action") || location.href, location.href).pathname;
const isBox = (field: Control): field is HTMLInputElement =>
  field instanceof HTMLInputElement && ["checkbox", "radio"].includes(field.type);
const isOn = (field: Control): boolean => isBox(field) && field.checked;
const plain = (name: string): string => name.replace(/^config\./, "").replaceAll("_", "").toLowerCase();
