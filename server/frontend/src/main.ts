// What every page loads: htmx set up for the strict policy, the small elements, the keyboard.
import { startDialogs } from "./dialogs";
import { CopyButton } from "./elements/copy-button";
import { FileUpload } from "./elements/file-upload";
import { RelativeTime } from "./elements/relative-time";
import { ThemeSwitch } from "./elements/theme-switch";
import { TimeChart } from "./elements/time-chart";
import { startKeyboard } from "./keyboard";
import { startLiveUpdates } from "./live";
import { startPreviews } from "./previews";
import { startTicking } from "./ticking";
import { startKeeping } from "./typed";

startLiveUpdates();
customElements.define("copy-button", CopyButton);
customElements.define("file-upload", FileUpload);
customElements.define("relative-time", RelativeTime);
customElements.define("theme-switch", ThemeSwitch);
customElements.define("time-chart", TimeChart);
startDialogs();
startKeeping();
startKeyboard();
startPreviews();
startTicking();
