// Native dialogs and menus: opened by data-opens, closed by what people expect.
export function openDialog(id: string): void {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

export function startDialogs(): void {
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) return;
    pressDialogButton(target);
    if (target instanceof HTMLDialogElement) target.close();
    closeMenus(target);
    target.closest("[data-dismiss]")?.closest(".flash")?.remove();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.querySelector<HTMLDetailsElement>("details.menu[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary")?.focus();
  });
}

function pressDialogButton(target: Element): void {
  const opener = target.closest("[data-opens]");
  if (opener) openDialog(opener.getAttribute("data-opens") ?? "");
  const closer = target.closest("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
}

function closeMenus(target: Element): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}
