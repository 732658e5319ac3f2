// Live parts of a page: htmx under the strict policy, and panels that refresh without moving the reader.
import htmx from "htmx.org";

interface Place {
  focusId: string;
  selection: [number, number] | null;
  open: string[];
  scroll: Map<string, [number, number]>;
}

const places = new WeakMap<Element, Place>();

export function startLiveUpdates(): void {
  htmx.config.allowEval = false;
  htmx.config.includeIndicatorStyles = false;
  htmx.config.selfRequestsOnly = true;
  htmx.config.historyCacheSize = 0;
  // Never "style": htmx would copy it as an attribute, which the policy refuses.
  htmx.config.attributesToSettle = ["class"];
  htmx.config.scrollBehavior = "instant";

  document.addEventListener("htmx:configRequest", addCsrfToken);
  document.addEventListener("htmx:beforeRequest", skipWhenUnseen);
  document.addEventListener("htmx:beforeSwap", (event) => {
    showRefusal(event);
    rememberPlace(event);
  });
  document.addEventListener("htmx:afterSettle", restorePlace);
  document.addEventListener("visibilitychange", refreshNow);
  followBusyness();
}

function detailOf(event: Event): Record<string, unknown> {
  return (event as CustomEvent<Record<string, unknown>>).detail;
}

function addCsrfToken(event: Event): void {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  const headers = detailOf(event)["headers"] as Record<string, string>;
  if (token) headers["X-CSRF-Token"] = token;
}

/** A panel that nobody looks at, or whose menu or text is in use, waits for its next turn. */
function skipWhenUnseen(event: Event): void {
  const panel = detailOf(event)["elt"];
  if (!(panel instanceof HTMLElement) || !panel.hasAttribute("data-live")) return;
  const selected = document.getSelection();
  const reading = selected !== null && !selected.isCollapsed && panel.contains(selected.anchorNode);
  if (document.hidden || reading || panel.querySelector("details.menu[open], dialog[open]")) event.preventDefault();
}

function refreshNow(): void {
  if (document.hidden) return;
  for (const panel of document.querySelectorAll("[data-live]")) htmx.trigger(panel, "refresh");
}

/** Forms answered with 4xx carry the form with its errors: show it instead of dropping it. */
function showRefusal(event: Event): void {
  const detail = detailOf(event);
  const answer = detail["xhr"] as XMLHttpRequest;
  const isPage = answer.getResponseHeader("Content-Type")?.startsWith("text/html") ?? false;
  if (answer.status >= 400 && answer.status < 500 && isPage) {
    detail["shouldSwap"] = true;
    detail["isError"] = false;
  }
}

function rememberPlace(event: Event): void {
  const target = detailOf(event)["target"];
  if (!(target instanceof HTMLElement)) return;
  const focused = document.activeElement;
  const inside = focused instanceof HTMLElement && target.contains(focused) ? focused : null;
  const scroll = new Map<string, [number, number]>();
  for (const box of target.querySelectorAll<HTMLElement>("[id]")) {
    if (box.scrollTop || box.scrollLeft) scroll.set(box.id, [box.scrollTop, box.scrollLeft]);
  }
  places.set(document.body, {
    focusId: inside?.id ?? "",
    selection: inside instanceof HTMLInputElement ? selectionOf(inside) : null,
    open: [...target.querySelectorAll<HTMLDetailsElement>("details[open][id]")].map((box) => box.id),
    scroll,
  });
}

function selectionOf(input: HTMLInputElement): [number, number] | null {
  return input.selectionStart === null ? null : [input.selectionStart, input.selectionEnd ?? input.selectionStart];
}

function restorePlace(): void {
  const place = places.get(document.body);
  if (!place) return;
  places.delete(document.body);
  for (const id of place.open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, [top, left]] of place.scroll) document.getElementById(id)?.scrollTo({ top, left, behavior: "instant" });
  const focused = place.focusId ? document.getElementById(place.focusId) : null;
  if (!focused || focused === document.activeElement) return;
  focused.focus({ preventScroll: true });
  if (focused instanceof HTMLInputElement && place.selection) focused.setSelectionRange(...place.selection);
}

/** The thin line on top appears for requests that people started, never for a panel that refreshes itself. */
function followBusyness(): void {
  const running = new Set<unknown>();
  const show = (): void => void document.documentElement.classList.toggle("is-busy", running.size > 0);
  document.addEventListener("htmx:beforeSend", (event) => {
    const { elt, xhr } = detailOf(event);
    if (elt instanceof Element && !elt.hasAttribute("data-live")) running.add(xhr);
    show();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    running.delete(detailOf(event)["xhr"]);
    show();
  });
}
