// <copy-button value="…"> or <copy-button for="id">: wraps the button that the server rendered.
const SHOWN_MILLISECONDS = 1600;

export class CopyButton extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("button")?.addEventListener("click", () => void this.copy());
  }

  private async copy(): Promise<void> {
    const source = this.getAttribute("for");
    const text = this.getAttribute("value") ?? (source ? document.getElementById(source)?.textContent : null) ?? "";
    const done = (await toClipboard(text)) ? "Copied" : "Press Ctrl+C";
    const label = this.querySelector<HTMLElement>("[data-label]");
    if (!label) return;
    const before = label.dataset["label"] ?? "Copy";
    label.textContent = done;
    this.toggleAttribute("data-copied", true);
    setTimeout(() => {
      label.textContent = before;
      this.removeAttribute("data-copied");
    }, SHOWN_MILLISECONDS);
  }
}

/** The clipboard needs a secure origin; a first install on plain HTTP selects the text's stand-in instead. */
async function toClipboard(text: string): Promise<boolean> {
  if (navigator.clipboard && window.isSecureContext) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const stand = document.createElement("textarea");
  stand.value = text;
  stand.className = "hidden-visually";
  document.body.append(stand);
  stand.select();
  const copied = document.execCommand("copy");
  stand.remove();
  return copied;
}
