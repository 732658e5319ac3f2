// <file-upload bucket="…" prefix="…" direct>: takes files from its input or dropped on it, asks where each goes, sends it and shows how far it is.
import htmx from "htmx.org";

import { inUnit } from "../units";

const AT_ONCE = 2;
const IN_PARTS_FROM_BYTES = 64 * 1024 * 1024;
const LIST = "#storage-files";
const USE = "#storage-use";

interface Part {
  number: number;
  url: string;
  offset: number;
  size: number;
}

interface Offer {
  id: string;
  method: string;
  url: string;
  fields: Record<string, string>;
  headers: Record<string, string>;
  parts: Part[];
  confirm: boolean;
}

type Progress = (sentBytes: number) => void;

export class FileUpload extends HTMLElement {
  private waiting: { file: File; row: Row }[] = [];
  private running = 0;

  connectedCallback(): void {
    const input = this.querySelector<HTMLInputElement>("input[type=file]");
    input?.addEventListener("change", () => {
      this.take([...(input.files ?? [])]);
      input.value = "";
    });
    for (const name of ["dragenter", "dragover"]) this.addEventListener(name, (event) => this.hover(event, true));
    for (const name of ["dragleave", "drop"]) this.addEventListener(name, (event) => this.hover(event, false));
    this.addEventListener("drop", (event) => this.take([...(event.dataTransfer?.files ?? [])]));
  }

  private hover(event: Event, over: boolean): void {
    event.preventDefault();
    this.toggleAttribute("data-over", over);
  }

  private take(files: File[]): void {
    const list = this.querySelector("ul");
    for (const file of files) {
      const row = new Row(file);
      list?.append(row.element);
      this.waiting.push({ file, row });
    }
    this.next();
  }

  private next(): void {
    while (this.running < AT_ONCE) {
      const upload = this.waiting.shift();
      if (!upload) return;
      this.running += 1;
      void this.send(upload.file, upload.row).finally(() => {
        this.running -= 1;
        this.next();
        if (this.running === 0) void htmx.ajax("get", location.href, { target: LIST, select: LIST, selectOOB: USE, swap: "outerHTML" });
      });
    }
  }

  private async send(file: File, row: Row): Promise<void> {
    try {
      const offer = await ask<Offer>("/api/v1/storage/upload-url", this.wish(file));
      const etags = await sendAll(file, offer, row);
      if (offer.confirm) await ask("/api/v1/storage/files", { id: offer.id, parts: etags });
      row.done();
    } catch (error) {
      row.failed(error instanceof Error ? error.message : String(error));
    }
  }

  private wish(file: File): Record<string, unknown> {
    const replace = this.querySelector<HTMLInputElement>("input[name=replace]")?.checked ?? false;
    return {
      bucket: this.getAttribute("bucket"),
      key: `${this.getAttribute("prefix") ?? ""}${file.name}`,
      contentType: file.type,
      size: file.size,
      multipart: this.hasAttribute("direct") && file.size >= IN_PARTS_FROM_BYTES,
      replace,
    };
  }
}

/** One file on its way: its name, a bar, a sentence, and a button that stops it. */
class Row {
  readonly element = document.createElement("li");
  private readonly bar = document.createElement("progress");
  private readonly words = document.createElement("span");
  private readonly stop = document.createElement("button");
  private readonly stopping = new AbortController();

  constructor(private readonly file: File) {
    const name = document.createElement("span");
    name.className = "storage-upload-name";
    name.textContent = file.name;
    this.bar.className = "progress-bar";
    this.bar.max = Math.max(1, file.size);
    this.bar.value = 0;
    this.bar.setAttribute("aria-label", file.name);
    this.words.className = "muted";
    this.words.setAttribute("role", "status");
    this.words.textContent = "waiting";
    this.stop.type = "button";
    this.stop.className = "button button-quiet button-small";
    this.stop.textContent = "Stop";
    this.stop.addEventListener("click", () => this.stopping.abort());
    this.element.className = "tone-accent";
    this.element.append(name, this.words, this.stop, this.bar);
  }

  get signal(): AbortSignal {
    return this.stopping.signal;
  }

  sent(sentBytes: number): void {
    this.bar.value = sentBytes;
    this.words.textContent = `${inUnit(sentBytes, "bytes")} of ${inUnit(this.file.size, "bytes")}`;
  }

  done(): void {
    this.end(`${inUnit(this.file.size, "bytes")}, stored`, "ok");
    this.bar.value = this.bar.max;
  }

  failed(reason: string): void {
    this.end(reason, "critical");
  }

  private end(text: string, tone: string): void {
    this.element.className = `tone-${tone}`;
    this.words.textContent = text;
    this.stop.remove();
  }
}

async function ask<Answer>(path: string, body: unknown): Promise<Answer> {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": token },
    body: JSON.stringify(body),
  });
  const told = (await answer.json()) as Answer & { detail?: string };
  if (!answer.ok) throw new Error(told.detail ?? `The server answered ${String(answer.status)}.`);
  return told;
}

async function sendAll(file: File, offer: Offer, row: Row): Promise<string[]> {
  if (offer.method === "POST") {
    const form = new FormData();
    for (const [name, value] of Object.entries(offer.fields)) form.append(name, value);
    form.append("file", file);
    await sendOne("POST", offer.url, form, {}, row, (sent) => row.sent(Math.min(sent, file.size)));
    return [];
  }
  if (offer.parts.length === 0) {
    await sendOne("PUT", offer.url, file, offer.headers, row, (sent) => row.sent(sent));
    return [];
  }
  const etags = [];
  for (const part of offer.parts) {
    const piece = file.slice(part.offset, part.offset + part.size);
    etags.push(await sendOne("PUT", part.url, piece, {}, row, (sent) => row.sent(part.offset + sent)));
  }
  return etags;
}

/** XMLHttpRequest, because fetch does not tell how much of a body was sent. Gives the ETag. */
function sendOne(
  method: string,
  url: string,
  body: XMLHttpRequestBodyInit,
  headers: Record<string, string>,
  row: Row,
  progress: Progress,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.getResponseHeader("etag") ?? "");
      else reject(new Error(reasonOf(request)));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke, or the store allows no uploads from this page (CORS).")));
    request.addEventListener("abort", () => reject(new Error("Stopped.")));
    row.signal.addEventListener("abort", () => request.abort());
    if (row.signal.aborted) reject(new Error("Stopped."));
    else request.send(body);
  });
}

function reasonOf(request: XMLHttpRequest): string {
  try {
    return (JSON.parse(request.responseText) as { detail: string }).detail;
  } catch {
    return `The store answered ${String(request.status)}.`;
  }
}
