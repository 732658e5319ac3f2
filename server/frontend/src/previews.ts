// A form with a preview shows what stands in it, a moment after the last letter was typed.
const PAUSE_MS = 500;

export function startPreviews(): void {
  let waiting = 0;
  document.addEventListener("input", (event) => {
    const form = event.target instanceof Element ? event.target.closest("form[data-previews]") : null;
    const button = form?.querySelector("[data-preview]");
    if (!(form instanceof HTMLFormElement) || !(button instanceof HTMLElement)) return;
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => form.requestSubmit(button), PAUSE_MS);
  });
}
